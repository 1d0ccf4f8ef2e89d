"""Previews a request: judges it as the endpoint does, without storing or running anything."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from inbound_webhooks.deliveries.awaited_preview import resumed_note
from inbound_webhooks.deliveries.family import hidden_routes, judged_family
from inbound_webhooks.deliveries.group_notes import group_note
from inbound_webhooks.deliveries.judging import Endpoint
from inbound_webhooks.deliveries.schedule_data import schedule_data
from inbound_webhooks.errors import ParameterRefused, SecretMissing, VerificationFailed
from inbound_webhooks.event.charsets import of_typed_text
from inbound_webhooks.event.conf.mapping import dump_conf
from inbound_webhooks.event.judge import Verdict, Verified
from inbound_webhooks.event.redaction import MASK
from inbound_webhooks.event.request import InboundRequest
from inbound_webhooks.monitoring.clock import utc_now
from inbound_webhooks.records.credential import Credential, plain_secrets
from inbound_webhooks.records.webhook import Webhook
from inbound_webhooks.storage.credentials import list_credentials
from inbound_webhooks.storage.database import transaction
from inbound_webhooks.storage.encryption import decrypt
from inbound_webhooks.webhooks.access import Access
from inbound_webhooks.webhooks.compiled import CompiledWebhook, load_compiled

SIGNATURE_NOT_CHECKED = "The request has no signature, so none was checked."
NOT_YET_CHECKED = "The webhook has no stored secret yet, so no signature was checked."
CREDENTIALS_MASKED = "The request's credentials are masked, so none were checked."


def preview_request(
    endpoint: Endpoint,
    webhook: Webhook,
    *,
    method: str,
    query_string: str,
    headers: Sequence[tuple[str, str]],
    body: bytes,
    access: Access | None = None,
    now: datetime | None = None,
) -> dict[str, Any]:
    """Judge a request as if it had the right token, with the webhook's stored secrets.

    A request without a signature is judged too, one whose credentials are masked, and any request of a
    webhook that waits for its secret, all with a note; one with a wrong signature is rejected.

    :param access: of the user who gets it; None for an operator with a shell, who may see every route

    Returns ``state`` (an outcome of the judge), ``conf``, ``computed`` (of a refused request: the mapped
    parameters, whatever the DAG makes of them), ``partition_key``, ``schedule`` (when the run
    starts, as far as the webhook says), ``error``, ``note`` (nothing was verified, the response would wait,
    waiting tasks would be resumed) and the response's ``status``, ``content_type``, ``headers`` (pairs,
    without the content type) and ``body`` (text); and ``children``, ``children_total`` and ``routes`` of a
    request that would be several events (deliveries/family.py).
    """
    request = InboundRequest(
        method=method,
        query_string=query_string,
        headers=tuple(headers),
        body=body,
        source_ip="127.0.0.1",
        received_at=now or utc_now(),
    )
    compiled = load_compiled(webhook)
    credentials = _valid_credentials(webhook.id, request.received_at)
    token = next((decrypt(one.encrypted) for one in credentials if not one.purpose), "")
    secrets = plain_secrets([one for one in credentials if one.purpose], decrypt)
    fetched_from = {one.source_url for one in credentials if one.source_url}
    found = endpoint.judging.authenticate(
        compiled, request, secrets, request.received_at, token=token, fetched_from=fetched_from
    )
    note: str | None = None
    if isinstance(found, Verdict) and (note := _not_checked(found, request)):
        found = Verified()
    verdict = (
        found if isinstance(found, Verdict) else endpoint.judging.decide(compiled, request, secrets=secrets)
    )
    more = (_wait_note(compiled, verdict), group_note(compiled.webhook, verdict))
    note = " ".join(filter(None, (note, *more, resumed_note(compiled, request, verdict)))) or None
    body_sent = b"" if method == "HEAD" else verdict.response.body
    return _shown(verdict, note, body_sent) | judged_family(verdict, hidden_routes(compiled, access))


def typed_body(text: str, headers: Sequence[tuple[str, str]]) -> bytes:
    """The bytes of a body that a user typed: in the charset that its Content-Type declares.

    UTF-8 where the charset is unknown, or lacks one of the characters.
    """
    content_type = next((value for name, value in headers if name.lower() == "content-type"), "")
    try:
        return text.encode(of_typed_text(content_type))
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def _valid_credentials(webhook_id: str, now: datetime) -> list[Credential]:
    with transaction() as connection:
        return [one for one in list_credentials(connection, webhook_id) if one.is_valid(now)]


def _not_checked(verdict: Verdict, request: InboundRequest) -> str | None:
    """The note where nothing could be verified, None where the verification or a handshake ended."""
    if isinstance(verdict.error, SecretMissing):
        return NOT_YET_CHECKED
    if not isinstance(verdict.error, VerificationFailed):
        return None
    if verdict.error.is_missing:
        return SIGNATURE_NOT_CHECKED
    return CREDENTIALS_MASKED if _is_masked(request) else None


def _is_masked(request: InboundRequest) -> bool:
    """Whether it has masks in place of credentials, as stored and captured requests do."""
    in_headers = any(value == MASK for _, value in request.headers)
    # In a body only as a whole JSON string: a text may have asterisks of its own.
    return in_headers or f"={MASK}" in request.query_string or f'"{MASK}"'.encode() in request.body


def _wait_note(compiled: CompiledWebhook, verdict: Verdict) -> str | None:
    """For how long the response would wait, and for what."""
    wait = compiled.rules.wait
    if wait is None or not verdict.wait_seconds:
        return None
    what = "the result of the Dag" if wait.task is None else f"the result of task {wait.task}"
    return (
        f"The response would wait up to {verdict.wait_seconds} s for {what}; this one is sent if that takes "
        "longer."
    )


def _computed(error: Exception | None) -> dict[str, Any] | None:
    """The parameters that the DAG's params refuse, as a conf would have them; None where JSON cannot."""
    if not isinstance(error, ParameterRefused) or error.computed is None:
        return None
    try:
        found: dict[str, Any] = json.loads(dump_conf(dict(error.computed)))
    except ParameterRefused:
        return None
    return found


def _shown(verdict: Verdict, note: str | None, body: bytes) -> dict[str, Any]:
    response = verdict.response
    return {
        "state": verdict.outcome,
        "conf": None if verdict.conf is None else json.loads(verdict.conf),
        "computed": _computed(verdict.error),
        "partition_key": verdict.partition_key,
        "schedule": schedule_data(verdict),
        "error": (verdict.reason or None) if verdict.error is None else verdict.error.message,
        "note": note,
        "status": response.status,
        "content_type": response.content_type,
        "headers": [list(pair) for pair in response.all_headers if pair[0] != "Content-Type"],
        "body": body.decode("utf-8", "replace"),
    }
