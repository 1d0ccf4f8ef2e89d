"""A webhook's definition: as a user drafts it, and as it is stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Draft:
    """What a person says of a webhook. ``mapping`` is parameter -> expression, empty for the whole event."""

    name: str
    dag_id: str
    enabled: bool = True
    mapping: Mapping[str, str] = field(default_factory=dict)
    response_content_type: str = "application/json"
    response_template: str | None = None
    response_status: int | None = None
    disabled_status: int = 403
    invalid_status: int = 422
    preset: str | None = None
    verification: Sequence[Mapping[str, Any]] = ()
    handshake: str | None = None
    allowed_addresses: Sequence[str] = ()
    event_type: str | None = None
    filter: str | None = None
    dedup: str | None = None
    max_per_second: int | None = None
    notify_success: Sequence[str] = ()
    notify_failure: Sequence[str] = ()
    max_backlog: int | None = None
    max_active_runs: int | None = None


@dataclass(frozen=True, kw_only=True)
class Webhook(Draft):
    """A stored definition. ``confirm_url`` is a link of the vendor's that a person has to open."""

    id: str
    version: int = 1
    created_at: datetime
    updated_at: datetime
    confirm_url: str | None = None
