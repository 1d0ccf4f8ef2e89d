"""The response bodies of the REST API."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, create_model

from inbound_webhooks.errors import Problem
from inbound_webhooks.records.webhook import FIELDS
from inbound_webhooks.rest.requests import fields
from inbound_webhooks.storage.delivery_pages import MAX_COUNTED


class ReasonResponse(BaseModel):
    """A problem that may keep a webhook from starting runs."""

    code: str
    severity: str = Field(description="stops, delays or hint")
    sentence: str


def reason_of(problem: Problem) -> ReasonResponse:
    """Convert a problem of a webhook."""
    return ReasonResponse(code=problem.code, severity=problem.severity, sentence=problem.message)


_URL: Any = Field(description="Includes the token; null if the user may not change the webhook.")

WebhookResponse = create_model(
    "WebhookResponse",
    **fields(required=FIELDS),
    id=(str, ...),
    version=(int, Field(description="Increases with each change.")),
    created_at=(datetime, ...),
    updated_at=(datetime, ...),
    confirm_url=(
        str | None,
        Field(description="A link of the sender's that a user has to open."),
    ),
    team=(
        str | None,
        Field(description="In multi-team mode, the team whose DAG it may start; null for none."),
    ),
    hold=(
        str | None,
        Field(description="held, or releasing while held deliveries go on; null for neither."),
    ),
    held_by_all=(bool, Field(description="Whether it is on hold because all webhooks are.")),
    release_per_minute=(int | None, Field(description="Held deliveries that go on in a minute.")),
    release_window=(str | None, Field(description="Hours in which held deliveries go on.")),
    url=(str | None, _URL),
    reasons=(list[ReasonResponse], ...),
)


class WebhookCollection(BaseModel):
    """One page of webhooks."""

    webhooks: list[WebhookResponse]  # type: ignore[valid-type]
    total_entries: int


class DeliveryResponse(BaseModel):
    """A delivery without its request."""

    id: str
    webhook_id: str
    webhook: str
    dag_id: str | None = Field(description="Null for a webhook without a DAG.")
    asset: str | None = Field(description="Name or URI of the asset, where it is the webhook's target.")
    state: str
    received_at: datetime
    run_id: str | None
    event_type: str | None
    replay_of: str | None
    error: str | None
    parent_id: str | None = Field(description="The delivery that it was split from, whose request it shares.")
    item_index: int | None = Field(description="Its place in that delivery's list; null for a route.")
    batch_id: str | None = Field(None, description="The first delivery of its batch, which is one run.")
    superseded_by: str | None = Field(None, description="The delivery that ran instead of it.")
    cancelled_by: str | None = Field(None, description="The delivery that cancelled it or its run.")


class RetryResponse(BaseModel):
    """Whether a delivery is tried again, and how many of its mails are."""

    delivery: bool
    mails: int


class DeliveryCollection(BaseModel):
    """One page of deliveries."""

    deliveries: list[DeliveryResponse]
    total_entries: int = Field(description=f"Among the {MAX_COUNTED} deliveries that were searched.")
    next_cursor: str | None = Field(description="The `cursor` of the next part; null if there is none.")


class DeliveryDetails(BaseModel):
    """A delivery's details; without the permission to read the DAG's runs, most parts are null."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "01a20a3bf7c07d82b4f3ec594b611fc7",
                    "webhook": "github-push",
                    "state": "succeeded",
                    "error": None,
                    "page": "https://airflow.example.com/plugin/webhooks?delivery=01a2…",
                    "replay_of": None,
                    "request": {"body": '{"ref": "refs/heads/main"}', "response_status": 202},
                    "response": {
                        "status": 202,
                        "headers": [],
                        "body": '{"status": "accepted"}',
                        "note": None,
                    },
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
    batch: dict[str, Any] | None = Field(None, description="Its batch, with the ids of the deliveries in it.")
    superseded_by: str | None = Field(None, description="The delivery that ran instead of it.")
    cancelled_by: str | None = Field(None, description="The delivery that cancelled it or its run.")
    request: dict[str, Any] | None = Field(description="The request, with credentials masked.")
    response: dict[str, Any] | None = Field(
        description="What the sender got, with credentials masked; `note` says what of it is not known."
    )
    conf: Any
    run: dict[str, Any]
    asset: str | None = Field(None, description="Name or URI of the asset, where it is the webhook's target.")
    partition_key: str | None = Field(None, description="What partition the event is about.")
    asset_event: dict[str, Any] | None = Field(
        None, description="Airflow's event, with those of the runs that took it that the user may read."
    )
    wait: dict[str, Any] | None = Field(None, description="The waiting task that it is the call of.")
    resumed: list[dict[str, Any]] = Field(
        [], description="The waiting tasks that it has resumed as an event."
    )
    parent_id: str | None = Field(None, description="The delivery that it was split from.")
    item_index: int | None = Field(None, description="Its place in that delivery's list; null for a route.")
    children: list[dict[str, Any]] = Field([], description="The first 100 deliveries that it was split into.")
    children_total: int = 0
    routes: list[dict[str, Any]] = Field([], description="What each route made of it, and why.")
    mails: list[dict[str, Any]] | None = Field(description="The notifications.")


class RejectionResponse(BaseModel):
    """A request that was refused before its sender was verified; its body is not stored."""

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
    """The outcome that a request would have."""

    state: str
    conf: Any
    computed: dict[str, Any] | None = Field(
        description="Of a request that the DAG's params refuse: the mapped parameters."
    )
    partition_key: str | None
    schedule: dict[str, str] | None = Field(
        description="The run's logical_date, run_after and note, as far as the webhook has them."
    )
    error: str | None
    note: str | None
    status: int
    content_type: str | None
    headers: list[list[str]]
    body: str
    children: list[dict[str, Any]] = Field(description="The first 100 events that it would be split into.")
    children_total: int
    routes: list[dict[str, Any]] = Field(description="What each route would make of it, and why.")


class Move(BaseModel):
    """The number of deliveries whose state would change."""

    before: str
    after: str
    deliveries: int


class JudgedDelivery(BaseModel):
    """A delivery's outcome before and after the change; both are null if it could not be judged."""

    delivery_id: str
    received_at: datetime
    note: str | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    changes: list[dict[str, Any]] = Field(
        description="field, before and after; a side without it is omitted."
    )


class BackTestResponse(BaseModel):
    """The effect of a change on the newest deliveries, newest first."""

    judged: int
    changed: int
    not_judged: int
    moves: list[Move]
    deliveries: list[JudgedDelivery]


class LatencyResponse(BaseModel):
    """How long runs took: bounds that half of them, and 95 % of them, did not exceed."""

    count: int
    p50_seconds: float | None = Field(description="Null without runs, and beyond two hours.")
    p95_seconds: float | None = Field(description="Null without runs, and beyond two hours.")


class CountedResponse(BaseModel):
    """Deliveries by state, and the latencies of their runs."""

    deliveries: int
    states: dict[str, int]
    to_run: LatencyResponse = Field(description="From the receipt until the run was created.")
    to_task: LatencyResponse = Field(description="From the receipt until the run's first task started.")


class HourResponse(CountedResponse):
    """An hour, which ends an hour after ``hour``."""

    hour: datetime


class ActivityResponse(BaseModel):
    """A webhook's deliveries by the hour, oldest first, with the current hour."""

    webhook_id: str
    is_complete: bool = Field(description="False if there may be deliveries that are not counted yet.")
    total: CountedResponse
    hours: list[HourResponse]


class WaitResponse(BaseModel):
    """A task that waits for a call or an event, or has waited."""

    id: str = Field(description="Of the task instance's try, in hex.")
    kind: str = Field(description="callback: a call of a one-time URL; event: an event of a webhook")
    state: str = Field(description="waiting, resumed, timed_out, ended or refused")
    webhook: str | None = Field(description="The webhook whose event it waits for, as the task names it.")
    webhook_id: str | None
    match: dict[str, str] = Field(description="Path -> value that the event needs.")
    match_expression: str | None
    broadcast: bool = Field(description="Whether the event may resume other tasks too.")
    failure: str | None = Field(description="Why the wait cannot be served; the task fails with it.")
    dag_id: str
    run_id: str
    task_id: str
    map_index: int = Field(description="-1 for a task that is not mapped.")
    try_number: int
    since: datetime
    deadline: datetime
    ended_at: datetime | None
    delivery_id: str | None = Field(description="The call that counts, or the event that matched.")
    refused_calls: int
    refusal: str | None = Field(description="Why the last refused call was refused.")
    page: str
    events: dict[str, Any] | None = Field(
        None, description="Of a task that waits for an event: `count` and the `last` ones, with reasons."
    )


class WaitCollection(BaseModel):
    """One page of waits."""

    waits: list[WaitResponse]
    total_entries: int


class ErrorResponse(BaseModel):
    """An error message."""

    detail: str


class InvalidPart(BaseModel):
    """A problem with one part of a request."""

    type: str
    loc: list[str | int]
    msg: str


class InvalidRequest(BaseModel):
    """All problems of a request, without its input."""

    detail: list[InvalidPart] | str


class DeliverySearchResponse(BaseModel):
    """A page of a search."""

    deliveries: list[DeliveryResponse]
    total_entries: int | None = Field(
        description=f"Up to {MAX_COUNTED + 1}, which means more; null for a text, or where it takes too long."
    )
    next_cursor: str | None = Field(description="The `cursor` of the next page; null if there is none.")
    searched_to: datetime | None = Field(
        description="How far a search for a text came; null if it was complete, or the page is full."
    )


class ReplayJobResponse(BaseModel):
    """A replay of many deliveries."""

    id: str
    state: str = Field(description="running, completed or cancelled")
    actor: str
    remap: bool
    where: list[list[str]] = Field(description="The filter; empty if the deliveries were selected by id.")
    created_at: datetime
    finished_at: datetime | None
    total: int
    waiting: int
    replayed: int
    refused: int
    skipped: int


class CauseResponse(BaseModel):
    """Why deliveries were not replayed, how many, and the first of them."""

    state: str
    reason: str
    number: int
    first_id: str


class ReplayJobDetails(ReplayJobResponse):
    """A replay job with its report."""

    causes: list[CauseResponse]
    replays: list[str] = Field(description="The ids of the first new deliveries.")


class ReplayJobCollection(BaseModel):
    """Replay jobs, newest first."""

    replays: list[ReplayJobResponse]
