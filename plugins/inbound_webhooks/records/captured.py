"""A request that came while a user listened for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True)
class Captured:
    """A request with its credentials masked, and the response that its sender received.

    ``reason`` says why the response is no success. ``body`` is as sent, None where it is not kept: it is
    longer than the limit, or bodies are not to be stored. ``headers`` is a JSON list of pairs.
    """

    webhook_id: str
    received_at: datetime
    source_ip: str
    method: str
    status: int
    reason: str | None
    query_string: str
    headers: str
    body: bytes | None
    body_bytes: int
    id: int = 0
