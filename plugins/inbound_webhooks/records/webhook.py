"""A webhook's definition, drafted or stored; the only place where its fields are declared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from inbound_webhooks.event.sizes import MAX_WAIT_SECONDS, QUEUE
from inbound_webhooks.records import grouping
from inbound_webhooks.records.hold import WINDOW_CHARS, Hold
from inbound_webhooks.records.webhook_fields import (
    ASSET_CHARS,
    DAG_ID_CHARS,
    MAX_LIMIT,
    OWNER_CHARS,
    TASK_ID_CHARS,
    WEBHOOK_NAME_CHARS,
    declared,
    fields_of,
    json_value,
)


def _senders() -> dict[str | None, str]:
    from inbound_webhooks.presets import PRESETS

    by_title = sorted(PRESETS.values(), key=lambda preset: preset.title.lower())
    return {None: "Any sender, verified by the URL alone", **{found.name: found.title for found in by_title}}


def _handshakes() -> dict[str | None, str]:
    from inbound_webhooks.event.handshakes.registry import HANDSHAKES

    return {None: "None", **{name: name for name in HANDSHAKES}}


def _content_types() -> dict[str, str]:
    from inbound_webhooks.event.response import CONTENT_TYPES

    return {name: name for name in CONTENT_TYPES}


def _disabled_statuses() -> dict[int, str]:
    return {403: "403 Forbidden", 503: "503, so that the sender retries"}


def _invalid_statuses() -> dict[int, str]:
    return {
        422: "422 Unprocessable",
        202: "202, so that the sender does not retry",
        200: "200, for senders that accept no other status as success",
    }


def _routes() -> dict[str | None, str]:
    return {None: "None", ALL_ROUTES: "Every webhook that matches", FIRST_ROUTE: "The first one that matches"}


ALL_ROUTES, FIRST_ROUTE = "all", "first"
"""Which of the webhooks that get the events of another one take an event."""


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A definition without an id. ``mapping`` is parameter -> expression; empty: conf is the whole event."""

    name: str = field(
        metadata=declared(
            label="Name",
            help="Name of the webhook; an import finds the webhook again by its name.",
            hint="Identifies the webhook in lists and logs.",
            flag="name",
            metavar="NAME",
            section="details",
            listed=True,
            max_chars=WEBHOOK_NAME_CHARS,
            one_line=True,
        )
    )
    dag_id: str = field(
        default="",
        metadata=declared(
            label="Dag",
            help="The DAG that each request starts.",
            hint="The Dag that each request starts.",
            flag="--dag-id",
            metavar="DAG",
            section="details",
            listed=True,
            max_chars=DAG_ID_CHARS,
            blank=True,
        ),
    )
    asset: str | None = field(
        default=None,
        metadata=declared(
            label="Asset",
            help="Instead of a DAG: the name or URI of the asset for which each request creates an event.",
            hint="Instead of a Dag: the name or URI of the asset for which each request creates an event.",
            flag="--asset",
            metavar="NAME|URI",
            section="details",
            listed=True,
            max_chars=ASSET_CHARS,
            one_line=True,
        ),
    )
    description: str | None = field(
        default=None,
        metadata=declared(
            label="Description",
            help="What the webhook is for; shown in lists.",
            flag="--description",
            metavar="TEXT",
            section="details",
            listed=True,
            rows=2,
            wide=True,
            max_chars=1_000,
        ),
    )
    owner: str | None = field(
        default=None,
        metadata=declared(
            label="Owner",
            help="Who is responsible for the webhook: a name, or an Airflow user name; shown in lists.",
            hint="A name, or the name of an Airflow user.",
            flag="--owner",
            metavar="NAME",
            section="details",
            listed=True,
            max_chars=OWNER_CHARS,
            one_line=True,
            suggests_users=True,
        ),
    )
    enabled: bool = field(
        default=True,
        metadata=declared(
            label="Enabled",
            help="Whether it accepts requests.",
            hint="accepts requests and starts runs",
            flag="--disabled",
            flag_help="Create it disabled.",
            section="details",
            listed=True,
            wide=True,
        ),
    )
    waiting_dags: Sequence[str] = field(
        default=(),
        metadata=declared(
            label="Dags that may wait",
            help="DAGs whose tasks may wait for events of the webhook, and so read them; "
            "without any, its own DAG.",
            hint="Dags whose tasks may wait for its events, and so read them, one per line. "
            "Empty: its own Dag.",
            flag="--waiting-dag",
            metavar="DAG",
            section="routes",
            rows=2,
        ),
    )
    preset: str | None = field(
        default=None,
        metadata=declared(
            label="Kind of sender",
            help="The kind of sender: its preset fills in every field that is not given.",
            hint="Its preset fills in the verification and the other fields that the sender needs.",
            flag="--preset",
            metavar="P",
            section="sender",
            wide=True,
            choices=_senders,
        ),
    )
    verification: Sequence[Mapping[str, Any]] = field(
        default=(),
        metadata=declared(
            label="Verification (JSON)",
            help="How requests are verified, as JSON objects; instead of the preset's verification.",
            hint="The checks that every request must pass, as a list of objects. "
            "Selecting a sender fills this in.",
            flag="--verify",
            metavar="JSON",
            section="sender",
            rows=5,
            wide=True,
            folded=True,
            is_code=True,
        ),
    )
    handshake: str | None = field(
        default=None,
        metadata=declared(
            label="Handshake",
            help="How the sender checks the endpoint before it sends events.",
            flag="--handshake",
            metavar="H",
            section="sender",
            folded=True,
            choices=_handshakes,
            filled_by_preset=True,
        ),
    )
    dedup: str | None = field(
        default=None,
        metadata=declared(
            label="Deduplication key",
            help="An expression that identifies an event, so that a repetition starts no second run.",
            hint="An expression that identifies the event; a repetition starts no second run.",
            flag="--dedup",
            metavar="EXPRESSION",
            section="sender",
            folded=True,
            is_code=True,
            completes=True,
            filled_by_preset=True,
        ),
    )
    mapping: Mapping[str, str] = field(
        default_factory=dict,
        metadata=declared(
            label="Parameters",
            help="Parameter of the DAG -> expression; without any, conf is the whole event.",
            flag="--map",
            flag_help="One line of the mapping, such as 'order=${Webhook::Body.order.id}'; "
            "without any, conf is the whole event.",
            metavar="PARAMETER=EXPRESSION",
            section="mapping",
            wide=True,
        ),
    )
    partition_key: str | None = field(
        default=None,
        metadata=declared(
            label="Partition key",
            help="An expression for the partition of the asset's event, or of a partitioned DAG's run.",
            hint="An expression for the partition of the asset's event, or of a partitioned Dag's run. "
            "Empty: none.",
            flag="--partition-key",
            metavar="EXPRESSION",
            section="mapping",
            wide=True,
            is_code=True,
            completes=True,
        ),
    )
    logical_date: str | None = field(
        default=None,
        metadata=declared(
            label="Logical date",
            help="The run's logical date: received, or an expression that yields a time; without it, the run "
            "has none.",
            hint="received, or an expression such as ${Webhook::Body.day}. DAGs that use {{ ds }} need one. "
            "Empty: none.",
            flag="--logical-date",
            metavar="received|EXPRESSION",
            section="run",
            is_code=True,
            completes=True,
        ),
    )
    run_after: str | None = field(
        default=None,
        metadata=declared(
            label="Start after",
            help="When the run may start: seconds after the receipt, or an expression that yields seconds or "
            "a time.",
            hint="Seconds after the receipt, or an expression that yields seconds or a time. Empty: at once.",
            flag="--run-after",
            metavar="SECONDS|EXPRESSION",
            section="run",
            is_code=True,
            completes=True,
        ),
    )
    note: str | None = field(
        default=None,
        metadata=declared(
            label="Note",
            help="A text with expressions for the note of the run, up to 1,000 characters.",
            hint="A text with expressions, up to 1,000 characters; webhook and delivery follow it.",
            flag="--note",
            metavar="TEXT",
            section="run",
            rows=2,
            wide=True,
            is_code=True,
            completes=True,
        ),
    )
    event_type: str | None = field(
        default=None,
        metadata=declared(
            label="Event type",
            help="An expression for the type of an event, as the sender names it.",
            hint="An expression for the type, as the sender names it. Filter and mapping can use it as "
            "delivery.event_type.",
            flag="--event-type",
            metavar="EXPRESSION",
            section="filter",
            wide=True,
            is_code=True,
            completes=True,
            filled_by_preset=True,
        ),
    )
    filter: str | None = field(
        default=None,
        metadata=declared(
            label="Condition",
            help="A condition: which events start a run; the response to other events is 200.",
            hint="Only events for which it is true start a run; the response to all others is 200. "
            "Empty: every event starts one.",
            flag="--filter",
            metavar="EXPRESSION",
            section="filter",
            rows=2,
            wide=True,
            is_code=True,
            completes=True,
            example='body.ref == "refs/heads/main"',
        ),
    )
    source: str | None = field(
        default=None,
        metadata=declared(
            label="Events of",
            help="The webhook whose events it gets, by name or id; it then has no URL of its own.",
            hint="Name or id of the webhook whose events it gets; it then has no URL of its own. Empty: its "
            "URL is called.",
            flag="--source",
            metavar="WEBHOOK",
            section="routes",
            max_chars=WEBHOOK_NAME_CHARS,
            one_line=True,
        ),
    )
    position: int | None = field(
        default=None,
        metadata=declared(
            label="Place among the routes",
            help="Its place among the webhooks that get the same events: lower ones come first, then those "
            "without a place, by name.",
            flag="--position",
            metavar="N",
            section="routes",
            minimum=1,
            maximum=1_000,
        ),
    )
    routes: str | None = field(
        default=None,
        metadata=declared(
            label="Routes",
            help="Whether other webhooks may get its events (their field source), and which of them take an "
            "event: all that match, or the first.",
            hint="Whether other webhooks may get its events, and which of them take one.",
            flag="--routes",
            metavar="all|first",
            section="routes",
            choices=_routes,
        ),
    )
    each: str | None = field(
        default=None,
        metadata=declared(
            label="List of events",
            help="An expression for a list, such as body.records: each item becomes a delivery and a run of "
            "its own; filter, parameters, event type and deduplication key read it as item.",
            hint="An expression for a list, such as body.records: each item becomes a delivery of its own, "
            "which expressions read as item. Empty: the request is one event.",
            flag="--each",
            metavar="EXPRESSION",
            section="filter",
            wide=True,
            is_code=True,
            completes=True,
            example="body.records",
        ),
    )
    response_status: int | None = field(
        default=None,
        metadata=declared(
            label="Status",
            help="Response status for accepted requests, 200 to 299.",
            hint="Empty: 202, or 200 with a template.",
            flag="--response-status",
            metavar="N",
            section="response",
            minimum=200,
            maximum=299,
            filled_by_preset=True,
        ),
    )
    response_content_type: str = field(
        default="application/json",
        metadata=declared(
            label="Content type",
            help="Content type of the response template.",
            flag="--response-content-type",
            metavar="TYPE",
            section="response",
            choices=_content_types,
            filled_by_preset=True,
        ),
    )
    response_template: str | None = field(
        default=None,
        metadata=declared(
            label="Template",
            help="The body of the response, with expressions like the mapping's.",
            hint="Empty: a JSON document with the delivery's id.",
            flag="--response-template",
            metavar="TEXT|@FILE",
            from_file=True,
            section="response",
            rows=3,
            wide=True,
            is_code=True,
            completes=True,
            filled_by_preset=True,
        ),
    )
    response_headers: Mapping[str, str] = field(
        default_factory=dict,
        metadata=declared(
            label="Headers",
            help="Headers of the response, name -> template; names are X-… or a few harmless ones.",
            hint="One per line, such as X-Request-Id: ${Webhook::Delivery.id}.",
            flag="--response-header",
            flag_help="A header of the response, such as 'X-Request-Id: ${Webhook::Delivery.id}'.",
            metavar="'NAME: TEMPLATE'",
            separator=":",
            section="response",
            rows=2,
            wide=True,
            is_code=True,
        ),
    )
    wait_seconds: int | None = field(
        default=None,
        metadata=declared(
            label="Wait for the result",
            help="Seconds for which the response waits for the run's result, 1 to 60.",
            hint="Seconds, 1 to 60, for which the response waits for the run's result. Empty: no wait.",
            flag="--wait",
            metavar="SECONDS",
            section="response",
            minimum=1,
            maximum=MAX_WAIT_SECONDS,
        ),
    )
    result_task: str | None = field(
        default=None,
        metadata=declared(
            label="Task with the result",
            help="The task whose return value is the result; without it, the DAG's own result.",
            hint="The id of the task whose return value is the result. Empty: the Dag's own (@result).",
            flag="--result-task",
            metavar="TASK",
            section="response",
            max_chars=TASK_ID_CHARS,
            one_line=True,
        ),
    )
    prefer_wait: bool = field(
        default=False,
        metadata=declared(
            label="Senders may choose",
            help="Whether a sender's header Prefer: wait=N decides how long the response waits, up to 60 s.",
            hint="a sender's header Prefer: wait=N decides how long the response waits, up to 60 s",
            flag="--prefer-wait",
            flag_help="Let a sender's header Prefer: wait=N decide how long the response waits, up to 60 s.",
            section="response",
            wide=True,
        ),
    )
    result_status: str | None = field(
        default=None,
        metadata=declared(
            label="Status after the wait",
            help="An expression for the status of the response that has waited, 200 to 299 or 400 to 599; "
            "without it, the response status, or 500 if the run failed.",
            hint="An expression, such as {{ 200 if result.ok else 422 }}. Empty: the status above, or 500 "
            "if the run failed.",
            flag="--result-status",
            metavar="EXPRESSION",
            section="response",
            wide=True,
            is_code=True,
        ),
    )
    disabled_status: int = field(
        default=403,
        metadata=declared(
            label="While disabled",
            help="Response status while the webhook is disabled.",
            flag="--disabled-status",
            metavar="403|503",
            section="response",
            choices=_disabled_statuses,
            filled_by_preset=True,
        ),
    )
    invalid_status: int = field(
        default=422,
        metadata=declared(
            label="When values violate the Dag's params",
            help="Status of the response if a value violates the DAG's params; the delivery is kept.",
            hint="Status of the response; the delivery is kept.",
            flag="--invalid-status",
            metavar="422|202|200",
            section="response",
            choices=_invalid_statuses,
            filled_by_preset=True,
        ),
    )
    notify_success: Sequence[str] = field(
        default=(),
        metadata=declared(
            label="When a run succeeds",
            help="Addresses that get a mail about each run that succeeds.",
            hint="E-mail addresses, one per line.",
            flag="--notify-success",
            suggests_users=True,
            metavar="A@B,...",
            section="notifications",
            rows=2,
        ),
    )
    notify_failure: Sequence[str] = field(
        default=(),
        metadata=declared(
            label="When a run fails or cannot start",
            help="Addresses that get mails about runs that fail or cannot start.",
            hint="E-mail addresses, one per line.",
            flag="--notify-failure",
            suggests_users=True,
            metavar="A@B,...",
            section="notifications",
            rows=2,
        ),
    )
    allowed_addresses: Sequence[str] = field(
        default=(),
        metadata=declared(
            label="Allowed addresses",
            help="CIDR blocks that may call; without any, every address may.",
            hint="CIDR blocks that may call, one per line. Empty: every address may.",
            flag="--allow",
            metavar="CIDR",
            section="limits",
            rows=2,
            is_code=True,
            example="192.0.2.0/24",
        ),
    )
    max_per_second: int | None = field(
        default=None,
        metadata=declared(
            label="Requests per second",
            help="Maximum of requests per second; above it, the response is 429.",
            hint="Above it, the response is 429. Empty: no limit of its own.",
            flag="--max-per-second",
            metavar="N",
            section="limits",
            minimum=1,
            maximum=MAX_LIMIT,
        ),
    )
    max_backlog: int | None = field(
        default=None,
        metadata=declared(
            label="Backlog",
            help="Maximum of deliveries that wait for their run; above it, the response is 429.",
            hint="Deliveries that wait for their run; above it, the response is 429. "
            "Empty: only the limit for all webhooks together.",
            flag="--max-backlog",
            metavar="N",
            section="limits",
            minimum=1,
            maximum=MAX_LIMIT,
        ),
    )
    start_window: str | None = field(
        default=None,
        metadata=declared(
            label="Hours of starts",
            help="The hours in which deliveries start, such as 22:00-06:00, in Airflow's default time zone; "
            "at other times they are held.",
            hint="Such as 22:00-06:00, in Airflow's default time zone; at other times deliveries are held. "
            "Empty: always.",
            flag="--start-window",
            metavar="HH:MM-HH:MM",
            section="limits",
            max_chars=WINDOW_CHARS,
            one_line=True,
        ),
    )
    max_active_runs: int | None = field(
        default=None,
        metadata=declared(
            label="Active runs",
            help="Maximum of unfinished runs; further deliveries wait in order.",
            hint="Further deliveries wait, in order, until a run ends. Empty: no limit.",
            flag="--max-active-runs",
            metavar="N",
            section="limits",
            minimum=1,
            maximum=MAX_LIMIT,
        ),
    )
    batch_size: int | None = field(default=None, metadata=grouping.BATCH_SIZE)
    batch_seconds: int | None = field(default=None, metadata=grouping.BATCH_SECONDS)
    batch_by: str | None = field(default=None, metadata=grouping.BATCH_BY)
    latest_by: str | None = field(default=None, metadata=grouping.LATEST_BY)
    quiet_seconds: int | None = field(default=None, metadata=grouping.QUIET_SECONDS)
    at_most_seconds: int | None = field(default=None, metadata=grouping.AT_MOST_SECONDS)
    one_at_a_time: str | None = field(default=None, metadata=grouping.ONE_AT_A_TIME)
    when_busy: str = field(default=QUEUE, metadata=grouping.WHEN_BUSY)
    cancel_on: str | None = field(default=None, metadata=grouping.CANCEL_ON)

    def __post_init__(self) -> None:
        # JSON has null for a webhook without a DAG.
        if self.dag_id is None:
            object.__setattr__(self, "dag_id", "")


@dataclass(frozen=True, kw_only=True)
class Webhook(Draft):
    """A stored definition.

    ``confirm_url`` is a link of the sender's that a user has to open. ``team`` is the team of its DAG when a
    user with the right to trigger that DAG last saved or enabled the webhook; None where the DAG had none. It
    is no field of the definition: users could give themselves another team's DAGs. Until
    ``listening_until``, its page shows the requests that come. ``route_count`` webhooks get its events.

    ``hold`` is its own (:class:`Hold`), ``held_by_all`` that of all webhooks. They are no fields of the
    definition either: an import during a deployment must not release what is on hold. ``release_per_minute``
    and ``release_window`` limit how held deliveries go on.
    """

    id: str
    version: int = 1
    created_at: datetime
    updated_at: datetime
    confirm_url: str | None = None
    team: str | None = None
    listening_until: datetime | None = None
    route_count: int = 0
    hold: str | None = None
    held_by_all: bool = False
    release_per_minute: int | None = None
    release_window: str | None = None

    @property
    def is_stopped(self) -> bool:
        """Whether its deliveries wait until a user releases them."""
        return self.held_by_all or self.hold == Hold.HELD

    @property
    def holds_new(self) -> bool:
        """Whether a delivery that arrives is held: it would overtake those that are held already."""
        return self.held_by_all or self.hold is not None or self.start_window is not None


FIELDS = fields_of(Draft)
"""All fields that users set, by name, in the order of files, forms and commands."""


def field_values(draft: Draft) -> dict[str, Any]:
    """The values of a draft's or webhook's fields that users set, by name."""
    return {name: getattr(draft, name) for name in FIELDS}


def json_fields(draft: Draft) -> dict[str, Any]:
    """The same as JSON values, for files, REST and comparisons."""
    found = {name: json_value(value) for name, value in field_values(draft).items()}
    return {name: None if FIELDS[name].blank and not value else value for name, value in found.items()}
