"""The request bodies of the REST API."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, create_model, model_validator

from inbound_webhooks.deliveries.backtest import MAX_DELIVERIES
from inbound_webhooks.event.json_text import text_problem
from inbound_webhooks.files.schema import limits
from inbound_webhooks.records.webhook import FIELDS
from inbound_webhooks.records.webhook_fields import WebhookField
from inbound_webhooks.webhooks.service import MAX_GRACE_HOURS

_TYPES: dict[str, Any] = {
    "text": str,
    "integer": int,
    "boolean": bool,
    "list": list[str],
    "objects": list[dict[str, Any]],
    "mapping": dict[str, str],
}

Pair = Annotated[list[str], Field(min_length=2, max_length=2)]


class _Body(BaseModel):
    """Refuses unknown fields, wrong types, and texts that the database cannot store."""

    model_config = ConfigDict(extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _is_text(cls, values: Any) -> Any:
        if reason := text_problem(values):
            raise ValueError(reason)
        return values


def fields(*, required: Collection[str]) -> dict[str, Any]:
    """A webhook's fields for a Pydantic model; those that are not required are optional."""
    found: dict[str, Any] = {}
    for name, field in FIELDS.items():
        default = ... if name in required else None
        described = Field(default, description=field.help, json_schema_extra=partial(_described, field))
        found[name] = (_TYPES[field.kind] | None if field.nullable else _TYPES[field.kind], described)
    return found


def _described(field: WebhookField, schema: dict[str, Any]) -> None:
    """Add a field's limits; it has no default in the schema, since a preset may fill it."""
    schema.pop("default", None)
    schema.update(limits(field))


def _with_example(example: dict[str, Any]) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [example]})


_SECRETS: Any = (
    dict[str, str],
    Field(default_factory=dict, description="Purpose -> secret; write-only."),
)


class _New(_Body):
    model_config = _with_example(
        {
            "name": "github-push",
            "dag_id": "github_push_build",
            "preset": "github",
            "secrets": {"signing": "the secret that you enter at GitHub"},
            "mapping": {"ref": "${Webhook::Body.ref}"},
        }
    )


class _Change(_Body):
    model_config = _with_example({"filter": 'body.ref == "refs/heads/main"', "max_per_second": 10})


WebhookBody = create_model(
    "WebhookBody", __base__=_New, **fields(required=("name", "dag_id")), secrets=_SECRETS
)
"""A new webhook; its preset, or the default, fills in fields that are not given."""

WebhookPatch = create_model(
    "WebhookPatch",
    __base__=_Change,
    **fields(required=()),
    secrets=_SECRETS,
    version=(
        int | None,
        Field(None, description="The version that was read; 409 if it is outdated."),
    ),
)
"""A change; fields that are not given keep their values."""


class Rotation(_Body):
    """Rotates the URL, or with purpose and secret a secret."""

    model_config = _with_example({"grace_hours": 24})
    grace_hours: float = Field(0, ge=0, le=MAX_GRACE_HOURS, description="How long the old one stays valid.")
    purpose: str | None = Field(None, description="The secret's purpose, such as signing.")
    secret: str | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> Rotation:
        if (self.purpose is None) != (self.secret is None):
            raise ValueError("purpose and secret must be given together")
        return self


class TryBody(_Body):
    """A request to preview; ``draft`` is a change to apply first."""

    model_config = _with_example(
        {
            "body": '{"ref": "refs/heads/main"}',
            "headers": [["Content-Type", "application/json"], ["X-GitHub-Event", "push"]],
        }
    )
    method: str = Field("POST", pattern="^(POST|GET|HEAD)$")
    query: str = Field("", description="The query string, without the question mark.")
    headers: list[Pair] = Field(
        default_factory=list,
        description="Name and value of each header. Without Content-Type the body counts as bytes.",
    )
    body: str = ""
    draft: WebhookPatch | None = None  # type: ignore[valid-type]


class BackTestBody(_Body):
    """A change to test against the newest deliveries."""

    model_config = _with_example({"last": 50, "draft": {"filter": "body.ref"}})
    last: int = Field(50, ge=1, le=MAX_DELIVERIES, description="The number of deliveries.")
    draft: WebhookPatch  # type: ignore[valid-type]


class Replay(_Body):
    """Options of a replay."""

    model_config = _with_example({"remap": True})
    remap: bool = Field(False, description="Use the current mapping instead of the original conf.")
