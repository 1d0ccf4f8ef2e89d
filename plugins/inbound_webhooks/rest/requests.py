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
from inbound_webhooks.records.webhook_fields import MAX_LIMIT, WebhookField
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


WebhookBody = create_model("WebhookBody", __base__=_New, **fields(required=("name",)), secrets=_SECRETS)
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


class Release(_Body):
    """How held deliveries go on; at once, without a limit."""

    model_config = _with_example({"per_minute": 60})
    per_minute: int | None = Field(None, ge=1, le=MAX_LIMIT, description="At most so many in a minute.")
    window: str | None = Field(None, description="Hours such as 22:00-06:00, in Airflow's default time zone.")


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


class Conditions(BaseModel):
    """Conditions of a search, which hold together; those that are not given hold for every delivery."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)
    webhook: str = Field("", max_length=250, description="Id or name; of a deleted webhook, too.")
    dag: str = Field("", max_length=250)
    state: list[str] = Field(default_factory=list, max_length=50, description="Any of these states.")
    event: str = Field("", max_length=250, description="The event type.")
    since: str = Field("", max_length=50, alias="from", description="Received at this time or later.")
    until: str = Field("", max_length=50, alias="to", description="Received before this time.")
    id: str = Field(
        "", max_length=100, description="A delivery's id or the first characters of it, or a run's id."
    )
    text: str = Field(
        "", max_length=250, description="Part of the body; requires the right to read the DAG's runs."
    )


class Search(Conditions):
    """Conditions of a search, and where it goes on."""

    cursor: str = Field(
        "", max_length=32, pattern=r"^[0-9a-f]*$", description="Continue after `next_cursor`."
    )
    limit: int = Field(0, ge=0, description="Deliveries of a page; 0 for Airflow's default.")


class NewReplayJob(_Body):
    """Deliveries to replay: those of a filter, or some by their ids."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={"examples": [{"where": {"state": ["failed"], "webhook": "github-push"}}]},
    )
    where: Conditions | None = None
    ids: list[str] = Field(default_factory=list, max_length=10_000)
    remap: bool = Field(False, description="Use the current mapping instead of the original conf.")

    @model_validator(mode="after")
    def _is_one(self) -> NewReplayJob:
        if (self.where is None) == (not self.ids):
            raise ValueError("either where or ids must be given")
        return self
