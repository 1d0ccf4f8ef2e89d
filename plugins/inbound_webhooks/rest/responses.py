"""What the REST API gives, as JSON."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, create_model

from inbound_webhooks.errors import Problem
from inbound_webhooks.records.webhook import FIELDS
from inbound_webhooks.rest.requests import fields
from inbound_webhooks.storage.delivery_pages import MAX_COUNTED


class ReasonResponse(BaseModel):
    """Why a webhook may start nothing."""

    code: str
    severity: str = Field(description="stops, delays or hint")
    sentence: str


def reason_of(problem: Problem) -> ReasonResponse:
    """A problem of a webhook as REST gives it."""
    return ReasonResponse(code=problem.code, severity=problem.severity, sentence=problem.message)


_URL: Any = Field(description="With its token; null for somebody who may not change the webhook.")

WebhookResponse = create_model(
    "WebhookResponse",
    **fields(required=FIELDS),
    id=(str, ...),
    version=(int, Field(description="Raised by each change.")),
    created_at=(datetime, ...),
    updated_at=(datetime, ...),
    confirm_url=(str | None, Field(description="A link that the sender wants opened.")),
    url=(str | None, _URL),
    reasons=(list[ReasonResponse], ...),
)


class WebhookCollection(BaseModel):
    """One page of webhooks."""

    webhooks: list[WebhookResponse]  # type: ignore[valid-type]
    total_entries: int


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
    total_entries: int = Field(description=f"Of the {MAX_COUNTED} deliveries that were looked at.")
    next_cursor: str | None = Field(
        description="Where to look on, as `cursor`; null where there is nothing more."
    )


class DeliveryDetails(BaseModel):
    """One delivery in full; request, conf and mails are null for who may not read the DAG's runs."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "01a20a3bf7c07d82b4f3ec594b611fc7",
                    "webhook": "github-push",
                    "state": "succeeded",
                    "error": None,
                    "page": "https://airflow.example.com/plugin/webhooks-delivery/01a2…",
                    "replay_of": None,
                    "request": {"body": '{"ref": "refs/heads/main"}', "response_status": 202},
                    "conf": {"ref": "refs/heads/main"},
                    "run": {"dag_id": "github_push_build", "run_id": "webhook__01a2…", "failed_tasks": []},
                    "mails": [],
                }
            ]
        }
    )
    id: str
    webhook: str
    state: str
    error: str | None
    page: str
    replay_of: str | None
    request: dict[str, Any] | None = Field(description="What came in, credentials masked.")
    conf: Any
    run: dict[str, Any]
    mails: list[dict[str, Any]] | None = Field(description="Who was told of it.")


class RejectionResponse(BaseModel):
    """A request that was refused before its sender was proved; its body is not kept."""

    id: int
    rejected_at: datetime
    method: str
    status: int
    source_ip: str
    reason: str


class RejectionCollection(BaseModel):
    """One page of rejections."""

    rejections: list[RejectionResponse]
    total_entries: int


class PreviewResponse(BaseModel):
    """What a request would become."""

    state: str
    conf: Any
    error: str | None
    note: str | None
    status: int
    content_type: str | None
    headers: list[tuple[str, str]]
    body: str


class Move(BaseModel):
    """How many deliveries would end in another state."""

    before: str
    after: str
    deliveries: int


class JudgedDelivery(BaseModel):
    """One delivery before and after the change; both are null where it could not be judged."""

    delivery_id: str
    received_at: datetime
    note: str | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    changes: list[dict[str, Any]] = Field(description="field, before and after; a side without it has none.")


class BackTestResponse(BaseModel):
    """What a change would make of the last deliveries, newest first."""

    judged: int
    changed: int
    not_judged: int
    moves: list[Move]
    deliveries: list[JudgedDelivery]


class ErrorResponse(BaseModel):
    """What is wrong, in one sentence."""

    detail: str


class InvalidPart(BaseModel):
    """What is wrong with one part of a request."""

    type: str
    loc: list[str | int]
    msg: str


class InvalidRequest(BaseModel):
    """Everything that is wrong with a request; what was sent is not repeated."""

    detail: list[InvalidPart] | str
