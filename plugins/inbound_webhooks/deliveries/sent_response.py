"""The response that the sender of a delivery got, as far as it is known."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from inbound_webhooks.event.responses import standard
from inbound_webhooks.records.delivery import Delivery, State
from inbound_webhooks.storage.kept_responses import find_response

REPLAYED = "A replay has no sender, so no response was sent."
OLDER = "An older version of the plugin accepted the request and kept only the status."
NOT_KEPT = (
    "Headers and body were not kept: the response still waits for the run, its sender has disconnected, too "
    "many responses were sent at the same time, the process ended before it had written them, or the "
    "retention has deleted them."
)


@dataclass(frozen=True, kw_only=True)
class SentResponse:
    """A response; ``body`` is None where it is not known, and the beginning of ``body_bytes`` otherwise."""

    status: int | None
    headers: Sequence[tuple[str, str]] = ()
    body: str | None = None
    body_bytes: int = 0
    note: str = ""

    @property
    def content_type(self) -> str:
        """The value of Content-Type, or ""."""
        return next((value for name, value in self.headers if name == "Content-Type"), "")

    def document(self) -> dict[str, Any]:
        """As JSON data."""
        return {
            "status": self.status,
            "headers": [list(pair) for pair in self.headers],
            "body": self.body,
            "body_bytes": None if self.body is None else self.body_bytes,
            "note": self.note or None,
        }


def sent_response(connection: Connection, delivery: Delivery) -> SentResponse:
    """The response to a delivery's request; a standard one is not stored, since the delivery tells it."""
    if delivery.replay_of is not None:
        return SentResponse(status=None, note=REPLAYED)
    status = delivery.response_status
    if delivery.custom_response is None:
        return SentResponse(status=status, note=OLDER)
    if delivery.custom_response:
        return _kept(connection, delivery)
    # The events of a request have one response, with the id of the delivery that they were split from.
    is_filtered = delivery.state == State.FILTERED and delivery.parent_id is None
    sent = standard(status, is_filtered=is_filtered, delivery_id=delivery.parent_id or delivery.id)
    return SentResponse(
        status=status, headers=sent.all_headers, body=sent.body.decode(), body_bytes=len(sent.body)
    )


def _kept(connection: Connection, delivery: Delivery) -> SentResponse:
    kept = find_response(connection, delivery.parent_id or delivery.id)
    if kept is None:
        return SentResponse(status=delivery.response_status, note=NOT_KEPT)
    is_cut = len(kept.body) < kept.body_bytes
    return SentResponse(
        status=kept.status or delivery.response_status,
        headers=[(name, value) for name, value in json.loads(kept.headers)],
        body=kept.body.decode("utf-8", "ignore" if is_cut else "replace"),
        body_bytes=kept.body_bytes,
        note=f"Only the first {len(kept.body):,} of {kept.body_bytes:,} bytes are kept." if is_cut else "",
    )
