"""What the REST API takes and gives, as JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, create_model, model_validator

from inbound_webhooks.files.schema import DESCRIPTIONS
from inbound_webhooks.receiver.backtest import MAX_DELIVERIES
from inbound_webhooks.storage.queries import Draft

MAX_GRACE_HOURS = 24 * 90
_LISTS: dict[Any, Any] = {
    Sequence[str]: list[str],
    Sequence[Mapping[str, Any]]: list[dict[str, Any]],
    Mapping[str, str]: dict[str, str],
}
_HINTS = {name: _LISTS.get(hint, hint) for name, hint in get_type_hints(Draft).items()}
_EXAMPLE: Any = {
    "name": "github-push",
    "dag_id": "github_push_build",
    "preset": "github",
    "secrets": {"signing": "the secret that you enter at GitHub"},
    "mapping": {"ref": "${Webhook::Body.ref}"},
}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})

    @model_validator(mode="before")
    @classmethod
    def _is_storable(cls, values: Any) -> Any:
        if _has_nul(values):
            raise ValueError("it has a NUL, which PostgreSQL does not store")
        return values


def _has_nul(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_has_nul(part) for pair in value.items() for part in pair)
    if isinstance(value, list):
        return any(_has_nul(item) for item in value)
    return isinstance(value, str) and "\0" in value


def _fields(*, required: Sequence[str]) -> dict[str, Any]:
    found = {}
    for field in dataclasses.fields(Draft):
        default = ... if field.name in required else None
        found[field.name] = (_HINTS[field.name], Field(default, description=DESCRIPTIONS[field.name]))
    return found


_SECRETS: Any = (
    dict[str, str],
    Field(default_factory=dict, description="Purpose -> secret; written and never shown again."),
)

WebhookBody = create_model(
    "WebhookBody", __base__=_Strict, **_fields(required=("name", "dag_id")), secrets=_SECRETS
)
"""A new webhook; what is not given its preset fills, or the defaults."""

WebhookPatch = create_model(
    "WebhookPatch",
    __base__=_Strict,
    **_fields(required=()),
    secrets=_SECRETS,
    version=(int | None, Field(None, description="Of the webhook that was read; 409 where it has changed.")),
)
"""A change: what is not given stays as it is."""


class Reason(BaseModel):
    """Why a webhook may start nothing."""

    code: str
    severity: str
    sentence: str


WebhookResponse = create_model(
    "WebhookResponse",
    **_fields(required=[field.name for field in dataclasses.fields(Draft)]),
    id=(str, ...),
    version=(int, ...),
    created_at=(datetime, ...),
    updated_at=(datetime, ...),
    confirm_url=(str | None, ...),
    url=(str | None, Field(..., description="With its token; null for somebody who may not change it.")),
    reasons=(list[Reason], ...),
)


class WebhookCollection(BaseModel):
    """One page of webhooks."""

    webhooks: list[WebhookResponse]  # type: ignore[valid-type]
    total_entries: int


class Rotation(BaseModel):
    """Another URL, or with purpose and secret another secret."""

    model_config = ConfigDict(extra="forbid")
    grace_hours: float = Field(0, ge=0, le=MAX_GRACE_HOURS, description="How long the old one still counts.")
    purpose: str | None = None
    secret: str | None = None


class TryBody(BaseModel):
    """A request to try; ``draft`` is a change to try it with."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"body": '{"ref": "refs/heads/main"}'}]}
    )
    method: str = Field("POST", pattern="^(POST|GET|HEAD)$")
    query: str = ""
    headers: list[tuple[str, str]] = Field(default_factory=list)
    body: str = ""
    draft: WebhookPatch | None = None  # type: ignore[valid-type]


class BackTestBody(BaseModel):
    """A change to judge by the last deliveries."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"last": 50, "draft": {"filter": "body.ref"}}]}
    )
    last: int = Field(50, ge=1, le=MAX_DELIVERIES)
    draft: WebhookPatch  # type: ignore[valid-type]


class DeliveryResponse(BaseModel):
    """A delivery without what came in."""

    id: str
    webhook_id: str
    webhook: str
    dag_id: str
    state: str
    received_at: datetime
    run_id: str | None
    event_type: str | None
    replay_of: str | None
    error: str | None


class DeliveryCollection(BaseModel):
    """One page of deliveries."""

    deliveries: list[DeliveryResponse]
    total_entries: int


class RejectionResponse(BaseModel):
    """A request that was refused before its sender was proved."""

    rejected_at: datetime
    method: str
    status: int
    source_ip: str
    reason: str


class RejectionCollection(BaseModel):
    """One page of rejections, newest first."""

    rejections: list[RejectionResponse]
    total_entries: int


class Replay(BaseModel):
    """How a delivery is accepted once more."""

    model_config = ConfigDict(extra="forbid")
    remap: bool = Field(False, description="With the mapping of today, not the conf of then.")
