"""The list of webhooks: filters, order and pages, and each webhook with its readiness and activity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from inbound_webhooks.airflow_bridge.teams import has_teams, team_column
from inbound_webhooks.errors import Problem
from inbound_webhooks.monitoring.clock import utc_now
from inbound_webhooks.records.activity import Activity
from inbound_webhooks.records.target import Origin, origin
from inbound_webhooks.records.webhook import FIELDS, Webhook
from inbound_webhooks.storage import listing
from inbound_webhooks.storage.activity import read_activity
from inbound_webhooks.storage.database import transaction
from inbound_webhooks.storage.holds import HoldOfAll, hold_of_all
from inbound_webhooks.storage.listing import WebhookQuery
from inbound_webhooks.storage.origins import webhook_origins
from inbound_webhooks.storage.rejections import KEPT_REJECTIONS, count_rejections
from inbound_webhooks.webhooks.access import Access
from inbound_webhooks.webhooks.readiness import environment_problems, is_paused, reasons_by_id
from inbound_webhooks.webhooks.roles import role_problems

PAGE_SIZE = 25
LISTED_HOURS = 24
COLUMNS = ("name", "dag_id", "asset", "enabled")
BELOW_THE_NAME = [name for name, field in FIELDS.items() if field.listed and name not in COLUMNS]
"""Listed fields without a column of their own."""

MAX_PAGE = 10_000


@dataclass(frozen=True)
class Rejected:
    """Requests of the last 24 hours that were rejected; ``is_cut``: older ones of this time are not kept."""

    number: int

    def __bool__(self) -> bool:
        return self.number > 0

    @property
    def is_cut(self) -> bool:
        """Whether there may have been more."""
        return self.number >= KEPT_REJECTIONS


@dataclass(frozen=True)
class Row:
    """One webhook in the list; ``newest`` is its newest delivery (state and received_at) or None."""

    webhook: Webhook
    reasons: Sequence[Problem]
    activity: Activity
    newest: Any
    rejections: Rejected
    may_change: bool
    may_delete: bool
    may_unpause: bool


@dataclass(frozen=True)
class ListRequest:
    """Filters, order and page of a list; ``query()`` returns the query string of a variation."""

    text: str = ""
    dag: str = ""
    sender: str = ""
    state: str = ""
    sort: str = "name"
    down: bool = False
    page: int = 1

    @classmethod
    def read(cls, arguments: Any) -> ListRequest:
        """Read a query string; invalid values are ignored."""
        sort, page = arguments.get("sort", ""), arguments.get("page", "")
        return cls(
            text=arguments.get("text", "").strip()[:200],
            dag=arguments.get("dag", "").strip()[:250],
            sender=arguments.get("sender", "")[:40],
            state=arguments.get("state", "") if arguments.get("state") in listing.STATES else "",
            sort=sort if sort in listing.SORTS else "name",
            down=arguments.get("down") == "1",
            page=min(max(int(page), 1), MAX_PAGE) if page.isdecimal() and len(page) < 9 else 1,
        )

    @property
    def narrows(self) -> bool:
        """Whether it filters the webhooks."""
        return bool(self.text or self.dag or self.sender or self.state)

    def query(self, **changes: Any) -> str:
        """The query string with some fields changed; without ``page``, it leads to the first page."""
        values = vars(replace(self, **{"page": 1, **changes}))
        defaults = vars(ListRequest())
        shown = {name: value for name, value in values.items() if value != defaults[name]}
        return urlencode({name: int(value) if value is True else value for name, value in shown.items()})

    def sorted_by(self, sort: str) -> str:
        """The query string behind a column's header: sorts by it, or reverses the order."""
        return self.query(sort=sort, down=self.sort == sort and not self.down)


@dataclass(frozen=True)
class WebhookPage:
    """A page of the list."""

    list_request: ListRequest
    rows: Sequence[Row]
    total: int
    senders: Sequence[str]
    environment: Sequence[Problem]
    """What is wrong with the processes that serve the endpoint, and for administrators with roles."""
    hold: HoldOfAll | None

    @property
    def pages(self) -> int:
        """How many pages there are, at least one."""
        return max(-(-self.total // PAGE_SIZE), 1)


def read(access: Access, list_request: ListRequest) -> WebhookPage:
    """The requested page, with only the webhooks that the user may see."""
    visible, webhooks, total = _found(access, list_request)
    with transaction() as connection:
        senders = listing.senders(connection, visible)
        environment = environment_problems(connection)
        hold = hold_of_all(connection)
        if access.may_see_roles:
            environment += role_problems(connection)
    return WebhookPage(list_request, rows_of(access, webhooks), total, senders, environment, hold)


def ids_of(access: Access, list_request: ListRequest) -> list[str]:
    """Ids of the webhooks on the requested page."""
    return [webhook.id for webhook in _found(access, list_request)[1]]


def _found(access: Access, list_request: ListRequest) -> tuple[set[Origin], list[Webhook], int]:
    """The origins that the user may see, the webhooks of the requested page, and how many all pages have."""
    with transaction() as connection:
        named = webhook_origins(connection)
    visible = access.visible(named)
    with transaction() as connection:
        webhooks, total = listing.webhooks_page(
            connection, webhook_query(list_request, visible, offset=(list_request.page - 1) * PAGE_SIZE)
        )
    return visible, [each for each in webhooks if origin(each.dag_id, each.id) in visible], total


def rows_of(access: Access, webhooks: Sequence[Webhook]) -> list[Row]:
    """The rows of webhooks that the user may see, in this order."""
    now, ids = utc_now(), [webhook.id for webhook in webhooks]
    if not ids:
        return []
    with transaction() as connection:
        activities = read_activity(connection, ids, now, hours=LISTED_HOURS, latencies=False)
        newest = listing.newest(connection, ids)
        rejections = count_rejections(connection, ids, now - timedelta(hours=LISTED_HOURS))
    reasons = reasons_by_id(webhooks)
    return [
        Row(
            webhook,
            reasons[webhook.id],
            activities[webhook.id],
            newest.get(webhook.id),
            Rejected(rejections.get(webhook.id, 0)),
            access.may_change(webhook),
            access.may_change(webhook, "DELETE"),
            is_paused(reasons[webhook.id]) and access.may_unpause(webhook.dag_id),
        )
        for webhook in webhooks
    ]


def webhook_query(
    list_request: ListRequest, visible: set[Origin], *, offset: int = 0, limit: int = PAGE_SIZE
) -> WebhookQuery:
    """The query of the webhooks that a list names, among those of some origins."""
    return WebhookQuery(
        visible=visible,
        dag_team=team_column() if has_teams() else None,
        text=list_request.text,
        dag_id=list_request.dag,
        sender=list_request.sender,
        state=list_request.state,
        sort=list_request.sort,
        descending=list_request.down,
        offset=offset,
        limit=limit,
    )
