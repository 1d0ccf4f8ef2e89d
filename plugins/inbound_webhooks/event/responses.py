"""The endpoint's responses, and the table from error class to HTTP status."""

from __future__ import annotations

from inbound_webhooks.errors import (
    AddressNotAllowed,
    BacklogFull,
    BodyIncomplete,
    BodyMalformed,
    BodyTimeout,
    BodyTooLarge,
    ClientAddressReplaced,
    ContentRefused,
    DatabaseUnavailable,
    DefinitionUnusable,
    EncodingUnsupported,
    ExpressionFailed,
    HandshakeForged,
    HandshakeMalformed,
    HostInvalid,
    InternalError,
    KeyPending,
    KeyUnknown,
    MediaTypeUnsupported,
    MethodNotAllowed,
    ParameterRefused,
    QueryMalformed,
    RateLimited,
    RefusedTooOften,
    RequestError,
    SecretMissing,
    TokenUnreadable,
    TooBusy,
    Unavailable,
    UnknownWebhook,
    VerificationFailed,
    WebhookDisabled,
)
from inbound_webhooks.event.data_sources import DataSources
from inbound_webhooks.event.response import Response, json_response
from inbound_webhooks.event.rules import Rules

STATUS: dict[type[RequestError], int] = {
    UnknownWebhook: 404,
    MethodNotAllowed: 405,
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
    RefusedTooOften: 429,
    BodyTooLarge: 413,
    HostInvalid: 400,
    BodyIncomplete: 400,
    BodyTimeout: 408,
    EncodingUnsupported: 415,
    BodyMalformed: 400,
    QueryMalformed: 400,
    ParameterRefused: 422,
    ExpressionFailed: 422,
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
    elif status == 405:
        headers = (("Allow", ALLOWED_METHODS),)
    elif status == 401:
        headers = tuple(("WWW-Authenticate", challenge) for challenge in error.challenges)
    # An unverified caller must not learn which check failed.
    message = "Unauthorized." if isinstance(error, VerificationFailed) else error.message
    if isinstance(error, _FOR_OPERATORS):
        message = type(error)().message
    return json_response(status, {"status": "rejected", "error": message}, headers)


def refused(error: ContentRefused, invalid_status: int, delivery_id: str) -> Response:
    """The response to a request that is kept for a replay and starts nothing."""
    breaks_params = isinstance(error, (ParameterRefused, ExpressionFailed))
    status = invalid_status if breaks_params else status_of(error)
    document: dict[str, object] = {"status": "refused", "delivery_id": delivery_id, "error": error.message}
    if isinstance(error, ParameterRefused):
        document["parameter"] = error.parameter
    return json_response(status, document)


def accepted(rules: Rules, sources: DataSources, delivery_id: str) -> Response:
    """The response to an accepted delivery: the webhook's template, or the default body."""
    status = rules.response_status or 202
    if status in WITHOUT_BODY:
        return Response(status)
    rendered = None if rules.response is None else _rendered(rules, sources)
    return rendered or Response(status, _ACCEPTED % delivery_id.encode())


_ACCEPTED = b'{"status": "accepted", "delivery_id": "%s"}'


def duplicate(rules: Rules, sources: DataSources, status: int, first_id: str) -> Response:
    """The response to a repeated event; ``sources`` name the first delivery."""
    if status in WITHOUT_BODY:
        return Response(status)
    default: dict[str, object] = {"status": "duplicate", "delivery_id": first_id}
    return _rendered(rules, sources) or json_response(status, default)


def filtered(rules: Rules, sources: DataSources, delivery_id: str) -> Response:
    """The response to an event that the filter excludes."""
    rendered = _rendered(rules, sources)
    return rendered or json_response(200, {"status": "filtered", "delivery_id": delivery_id})


def verified(rules: Rules, sources: DataSources) -> Response:
    """The response to GET and HEAD."""
    return _rendered(rules, sources) or json_response(200, {"status": "verified"})


def options() -> Response:
    """The response to OPTIONS."""
    return Response(204, headers=(("Allow", ALLOWED_METHODS),))


def standard(status: int, *, is_filtered: bool, delivery_id: str) -> Response:
    """The response to a stored delivery that no template rendered and no error explains."""
    if is_filtered:
        return json_response(status, {"status": "filtered", "delivery_id": delivery_id})
    return Response(status) if status in WITHOUT_BODY else Response(status, _ACCEPTED % delivery_id.encode())


def _rendered(rules: Rules, sources: DataSources) -> Response | None:
    if rules.response is None:
        return None
    try:
        return rules.response.rendered(rules.response_status or 200, sources)
    except ContentRefused:
        # The event is accepted: a failing template must not make the sender retry it.
        return None
