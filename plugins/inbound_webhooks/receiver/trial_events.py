"""Sends a user's test event through the endpoint of this process, as its sender's would come."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from concurrent.futures import TimeoutError as TimedOut
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from inbound_webhooks.deliveries.samples import signed
from inbound_webhooks.errors import DatabaseUnavailable, RequestError, SampleNotSigned, TooBusy
from inbound_webhooks.event.multidict import title_case
from inbound_webhooks.event.request import InboundRequest
from inbound_webhooks.event.response import Response
from inbound_webhooks.event.sampling.events import SampleRequest
from inbound_webhooks.monitoring.clock import utc_now
from inbound_webhooks.receiver.admission import RequestHead
from inbound_webhooks.receiver.pipeline import Receiver
from inbound_webhooks.receiver.results import Pending
from inbound_webhooks.records.credential import Credential, plain_secrets
from inbound_webhooks.records.webhook import Webhook
from inbound_webhooks.storage.audit_log import write_audit_entry
from inbound_webhooks.storage.credentials import list_credentials
from inbound_webhooks.storage.database import transaction
from inbound_webhooks.storage.encryption import decrypt
from inbound_webhooks.storage.listing import deliveries_page
from inbound_webhooks.urls import endpoint_url

WAIT_SECONDS = 20
"""Longer than any limit of the endpoint's own steps."""

LOOKED_AT = 50
"""Newest deliveries among which the test event's is looked for."""

MAX_SHOWN_CHARS = 10_000


@dataclass(frozen=True)
class SentEvent:
    """What became of a test event; ``delivery_id`` is empty where none was stored.

    ``note`` says why it has no signature.
    """

    status: int
    body: str
    delivery_id: str
    note: str


def send_test_event(
    receiver: Receiver,
    webhook: Webhook,
    sample: SampleRequest,
    *,
    plain_body: bytes,
    source_ip: str,
    actor: str,
) -> SentEvent:
    """Process a request as the endpoint does, and write it to the audit log; blocks.

    It is signed with the stored secrets where that is possible.

    :param plain_body: the body's bytes, for a request that cannot be signed
    """
    now = utc_now()
    with transaction() as connection:
        credentials = [one for one in list_credentials(connection, webhook.id) if one.is_valid(now)]
    token = next((decrypt(one.encrypted) for one in credentials if not one.purpose), "")
    query, headers, body, note = _signed(receiver, webhook, sample, plain_body, credentials, token, now)
    inbound = InboundRequest(
        method="POST",
        # As a sender's client writes it.
        query_string=quote(query, safe="!#$%&'()*+,/:;=?@[]~-._"),
        headers=tuple((title_case(name), value) for name, value in headers),
        body=body,
        source_ip=source_ip,
        received_at=now,
    )
    head = RequestHead(
        method="POST", webhook_id=webhook.id, token=token, declared_length=len(body), source_ip=source_ip
    )
    response = _on_the_loop(receiver, head, inbound)
    delivery_id = _delivery_id(webhook, now, response)
    with transaction() as connection:
        write_audit_entry(
            connection,
            event="webhook.test",
            dag_id=webhook.dag_id or None,
            actor=actor,
            at=now,
            details={"webhook": webhook.name, "status": response.status, "delivery": delivery_id},
        )
    shown = response.body.decode("utf-8", "replace")[:MAX_SHOWN_CHARS]
    return SentEvent(response.status, shown, delivery_id, note)


def _signed(
    receiver: Receiver,
    webhook: Webhook,
    sample: SampleRequest,
    plain_body: bytes,
    credentials: Sequence[Credential],
    token: str,
    now: datetime,
) -> tuple[str, tuple[tuple[str, str], ...], bytes, str]:
    """Query, headers, body, and why there is no signature."""
    held = plain_secrets([one for one in credentials if one.purpose], decrypt)
    newest = {purpose: values[0] for purpose, values in held.items() if values}
    url = endpoint_url(receiver.judging.public_url, webhook.id, token)
    try:
        made = signed(webhook, sample, url=url, secrets=newest, now=now)
    except SampleNotSigned as error:
        return sample.query_string, sample.headers, plain_body, error.message
    return made.query_string, made.headers, made.body, ""


def _on_the_loop(receiver: Receiver, head: RequestHead, request: InboundRequest) -> Response:
    async def process() -> Response:
        try:
            admission = await receiver.admit(head, from_cache=False)
        except RequestError as error:
            return receiver.reject(error, head)
        received = await receiver.receive(admission, request)
        # No page waits for a run: its user sees it on the delivery's page.
        return receiver.results.without_wait(received) if isinstance(received, Pending) else received

    if receiver.loop is None:
        raise TooBusy("The endpoint of this process has not started yet.")
    waiting = asyncio.run_coroutine_threadsafe(process(), receiver.loop)
    try:
        return waiting.result(WAIT_SECONDS)
    except TimedOut:
        waiting.cancel()
        raise DatabaseUnavailable("The endpoint did not respond in time.") from None


def _delivery_id(webhook: Webhook, received_at: datetime, response: Response) -> str:
    """The delivery that a request led to: its own, or the first one of a repeated event."""
    with transaction() as connection:
        newest = deliveries_page(connection, webhook.id, limit=LOOKED_AT)
    own = next((row.id for row in newest if row.received_at == received_at), "")
    if own:
        return str(own)
    try:
        named = json.loads(response.body)
    except ValueError:
        return ""
    found = named.get("delivery_id", "") if isinstance(named, dict) else ""
    return found if any(row.id == found for row in newest) else ""
