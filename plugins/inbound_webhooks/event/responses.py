"""The endpoint's responses, and the table from error class to HTTP status."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from inbound_webhooks.errors import (
    AddressNotAllowed,
    BacklogFull,
    BodyIncomplete,
    BodyMalformed,
    BodyTimeout,
    BodyTooLarge,
    ClientAddressReplaced,
    ConfsTooLarge,
    ContentRefused,
    DatabaseUnavailable,
    DefinitionUnusable,
    EncodingUnsupported,
    ExpressionFailed,
    GroupsFull,
    HandshakeForged,
    HandshakeMalformed,
    HostInvalid,
    InternalError,
    KeyPending,
    KeyUnknown,
    ListTooLong,
    MediaTypeUnsupported,
    MethodNotAllowed,
    NoneAccepted,
    ParameterRefused,
    PartitionKeyRefused,
    QueryMalformed,
    RateLimited,
    RefusedTooOften,
    RequestError,
    ResultRefused,
    ResultTooLarge,
    ScheduleRefused,
    SecretMissing,
    TokenUnreadable,
    TooBusy,
    TooManyHeld,
    Unavailable,
    UnknownWebhook,
    VerificationFailed,
    WaitOver,
    WebhookDisabled,
)
from inbound_webhooks.event.data_sources import DataSources
from inbound_webhooks.event.response import Response, json_response
from inbound_webhooks.event.rules import Rules
from inbound_webhooks.event.values import Missing
from inbound_webhooks.event.waiting import RunResult, standard_status, status_of_run

STATUS: dict[type[RequestError], int] = {
    UnknownWebhook: 404,
    MethodNotAllowed: 405,
    WaitOver: 410,
    WebhookDisabled: 403,
    AddressNotAllowed: 403,
    KeyUnknown: 401,
    VerificationFailed: 401,
    KeyPending: 503,
    SecretMissing: 503,
    HandshakeForged: 403,
    HandshakeMalformed: 400,
    MediaTypeUnsupported: 415,
    RateLimited: 429,
    BacklogFull: 429,
    TooManyHeld: 429,
    GroupsFull: 429,
    RefusedTooOften: 429,
    BodyTooLarge: 413,
    HostInvalid: 400,
    BodyIncomplete: 400,
    BodyTimeout: 408,
    EncodingUnsupported: 415,
    BodyMalformed: 400,
    QueryMalformed: 400,
    ParameterRefused: 422,
    ScheduleRefused: 422,
    ExpressionFailed: 422,
    PartitionKeyRefused: 422,
    ListTooLong: 422,
    ConfsTooLarge: 422,
    NoneAccepted: 422,
    ResultTooLarge: 413,
    ResultRefused: 422,
    DatabaseUnavailable: 503,
    DefinitionUnusable: 503,
    ClientAddressReplaced: 503,
    TokenUnreadable: 503,
    InternalError: 503,
    TooBusy: 503,
}

_FOR_OPERATORS = (DatabaseUnavailable, TokenUnreadable, SecretMissing)
"""Errors whose messages name settings, their fixes or a secret; the sender gets the class's own sentence."""

ALLOWED_METHODS = "GET, HEAD, OPTIONS, POST"
RESULT_METHODS = "GET, HEAD, OPTIONS"
WITHOUT_BODY = (204, 205)
DISABLED_RETRY_AFTER_SECONDS = 60


def status_of(error: RequestError) -> int:
    """The HTTP status of an error."""
    return error.status if isinstance(error, WebhookDisabled) else STATUS[type(error)]


def rejected(error: RequestError) -> Response:
    """The response to a request that leaves no delivery."""
    status = status_of(error)
    headers: tuple[tuple[str, str], ...] = ()
    if status in (429, 503):
        seconds = (
            error.retry_after_seconds if isinstance(error, Unavailable) else DISABLED_RETRY_AFTER_SECONDS
        )
        headers = (("Retry-After", str(seconds)),)
    elif isinstance(error, MethodNotAllowed):
        headers = (("Allow", error.allowed),)
    elif status == 401:
        headers = tuple(("WWW-Authenticate", challenge) for challenge in error.challenges)
    # An unverified caller must not learn which check failed.
    message = "Unauthorized." if isinstance(error, VerificationFailed) else error.message
    if isinstance(error, _FOR_OPERATORS):
        message = type(error)().message
    return json_response(status, {"status": "rejected", "error": message}, headers)


class ItemCounts(msgspec.Struct, frozen=True, kw_only=True):
    """The items of a list by what becomes of them; ``errors`` has place and message of the first refused."""

    accepted: int = 0
    filtered: int = 0
    duplicates: int = 0
    refused: int = 0
    errors: tuple[tuple[int, str], ...] = ()


def refused(
    error: ContentRefused, invalid_status: int, delivery_id: str, items: ItemCounts | None = None
) -> Response:
    """The response to a request that is kept for a replay and starts nothing.

    :param items: the items of a list, none of which is accepted
    """
    refusals = (ParameterRefused, ScheduleRefused, PartitionKeyRefused, ExpressionFailed, NoneAccepted)
    breaks_params = isinstance(error, refusals)
    status = invalid_status if breaks_params else status_of(error)
    document: dict[str, object] = {"status": "refused", "delivery_id": delivery_id, "error": error.message}
    if isinstance(error, ParameterRefused):
        document["parameter"] = error.parameter
    return json_response(status, document | ({} if items is None else _counts(items)))


def accepted(rules: Rules, sources: DataSources, delivery_id: str) -> Response:
    """The response to an accepted delivery: the webhook's template, or the default body."""
    status = rules.response_status or 202
    rendered = None if rules.response is None or status in WITHOUT_BODY else _rendered(rules, sources)
    return _with_headers(rules, sources, rendered or _standard(status, delivery_id))


def split(rules: Rules, sources: DataSources, delivery_id: str, items: ItemCounts | None) -> Response:
    """The response to a request of several events, at least one of which is accepted.

    :param items: the items of a list, which the default body counts; None for the events of routes
    """
    response = accepted(rules, sources, delivery_id)
    if items is None or rules.response is not None or response.status in WITHOUT_BODY:
        return response
    return replace(response, body=of_items(response.status, delivery_id, items).body)


def of_items(status: int, delivery_id: str, items: ItemCounts) -> Response:
    """A response that counts the items of a list."""
    found = "accepted" if items.accepted else "duplicate"
    return json_response(status, {"status": found, "delivery_id": delivery_id, **_counts(items)})


def _counts(items: ItemCounts) -> dict[str, object]:
    counts = {name: getattr(items, name) for name in ("accepted", "filtered", "duplicates", "refused")}
    errors = [{"item": place, "error": message} for place, message in items.errors]
    return {"items": counts, **({"errors": errors} if errors else {})}


_ACCEPTED = b'{"status": "accepted", "delivery_id": "%s"}'


def _standard(status: int, delivery_id: str) -> Response:
    return Response(status) if status in WITHOUT_BODY else Response(status, _ACCEPTED % delivery_id.encode())


def duplicate(rules: Rules, sources: DataSources, status: int, first_id: str) -> Response:
    """The response to a repeated event; ``sources`` name the first delivery."""
    if status in WITHOUT_BODY:
        return _with_headers(rules, sources, Response(status))
    default: dict[str, object] = {"status": "duplicate", "delivery_id": first_id}
    return _with_headers(rules, sources, _rendered(rules, sources) or json_response(status, default))


def filtered(rules: Rules, sources: DataSources, delivery_id: str) -> Response:
    """The response to an event that the filter excludes."""
    default: dict[str, object] = {"status": "filtered", "delivery_id": delivery_id}
    return _with_headers(rules, sources, _rendered(rules, sources) or json_response(200, default))


def verified(rules: Rules, sources: DataSources) -> Response:
    """The response to GET and HEAD."""
    rendered = _rendered(rules, sources) or json_response(200, {"status": "verified"})
    return _with_headers(rules, sources, rendered)


def unfinished(delivery_id: str, *, retry_after_seconds: int, result_url: str = "") -> Response:
    """The response while the run has no result yet; ``result_url`` is where it will be."""
    location = (("Location", result_url),) if result_url else ()
    headers = (*location, ("Retry-After", str(retry_after_seconds)))
    return Response(202, _ACCEPTED % delivery_id.encode(), headers=headers)


def with_preference(response: Response, applied: str) -> Response:
    """The response with the sender's preference that was applied (RFC 7240, section 3), if there is one."""
    if not applied:
        return response
    return replace(response, headers=(*response.headers, ("Preference-Applied", applied)))


def of_run(rules: Rules, sources: DataSources, delivery_id: str, found: RunResult) -> Response:
    """The response once the run has a result or there will be none: the webhook's template, or the result."""
    sources.result, sources.run = found.result, {"id": found.run_id, "state": found.run_state}
    status = standard_status(found, rules.response_status or 200)
    if rules.wait is not None and rules.wait.status is not None:
        status = status_of_run(rules.wait.status, sources)
    if status in WITHOUT_BODY:
        return _with_headers(rules, sources, Response(status), is_of_run=True)
    rendered = _rendered(rules, sources, status=status, is_of_run=True)
    if rendered is None:
        document: dict[str, object] = {"status": found.state, "delivery_id": delivery_id}
        if found.run_id is not None:
            document["run"] = {"id": found.run_id, "state": found.run_state}
        # A template says how much of a result a sender may have: where it fails, the sender gets none of it.
        if found.run_id is not None and rules.response is None:
            document["result"] = None if isinstance(found.result, Missing) else found.result
        if found.problem:
            document["error"] = found.problem
        rendered = json_response(status, document)
    return _with_headers(rules, sources, rendered, is_of_run=True)


def options(allowed: str = ALLOWED_METHODS) -> Response:
    """The response to OPTIONS."""
    return Response(204, headers=(("Allow", allowed),))


def call_accepted(delivery_id: str, *, is_duplicate: bool) -> Response:
    """The response to the call of a waiting task."""
    status = "duplicate" if is_duplicate else "accepted"
    return json_response(202, {"status": status, "delivery_id": delivery_id})


def standard(status: int, *, is_filtered: bool, delivery_id: str) -> Response:
    """The response to a stored delivery that no template rendered and no error explains."""
    if is_filtered:
        return json_response(status, {"status": "filtered", "delivery_id": delivery_id})
    return _standard(status, delivery_id)


def _rendered(
    rules: Rules, sources: DataSources, *, status: int | None = None, is_of_run: bool = False
) -> Response | None:
    """The template's response; None where there is none, it fails, or needs a run that is not known yet."""
    if rules.response is None or (rules.response.reads_run and not is_of_run):
        return None
    try:
        return rules.response.rendered(status or rules.response_status or 200, sources)
    except ContentRefused:
        # The event is accepted: a failing template must not make the sender retry it.
        return None


def _with_headers(
    rules: Rules, sources: DataSources, response: Response, *, is_of_run: bool = False
) -> Response:
    """The response with the webhook's own headers, without those that need a run that is not known yet."""
    if not rules.response_headers:
        return response
    templates = [header for header in rules.response_headers if is_of_run or not header.reads_run]
    values = [(header.name, header.value(sources)) for header in templates]
    added = tuple((name, value) for name, value in values if value is not None)
    return replace(response, headers=(*response.headers, *added))
