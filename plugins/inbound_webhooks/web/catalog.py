"""The list of webhooks: filters, order and pages, and each webhook with its readiness and activity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any
from urllib.parse import urlencode

from inbound_webhooks.airflow_bridge.teams import has_teams, team_column
from inbound_webhooks.errors import Problem
from inbound_webhooks.records.webhook import FIELDS, Webhook
from inbound_webhooks.records.webhook_fields import WebhookField
from inbound_webhooks.storage import listing
from inbound_webhooks.storage.database import transaction
from inbound_webhooks.storage.listing import Activity, WebhookQuery
from inbound_webhooks.webhooks.access import Access
from inbound_webhooks.webhooks.readiness import environment_problems, reasons_by_id
from inbound_webhooks.webhooks.roles import role_problems

PAGE_SIZE = 25
COLUMNS = ("name", "dag_id", "enabled")
"""Listed fields with a column of their own; the list shows the others below the name."""

MAX_PAGE = 10_000


@dataclass(frozen=True)
class Row:
    """One webhook in the list; ``newest`` is its newest delivery (state and received_at) or None."""

    webhook: Webhook
    reasons: Sequence[Problem]
    activity: Activity
    newest: Any
    may_change: bool
    may_delete: bool


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
        sort = arguments.get("sort", "")
        return cls(
            text=arguments.get("text", "").strip()[:200],
            dag=arguments.get("dag", "").strip()[:250],
            sender=arguments.get("sender", "")[:40],
            state=arguments.get("state", "") if arguments.get("state") in listing.STATES else "",
            sort=sort if sort in listing.SORTS else "name",
            down=arguments.get("down") == "1",
            page=_page(arguments.get("page", "")),
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

    @property
    def below_the_name(self) -> list[WebhookField]:
        """Listed fields without a column of their own."""
        return [field for field in FIELDS.values() if field.listed and field.name not in COLUMNS]

    @property
    def pages(self) -> int:
        """How many pages there are, at least one."""
        return max(-(-self.total // PAGE_SIZE), 1)


def read(access: Access, list_request: ListRequest) -> WebhookPage:
    """The requested page, with only the webhooks that the user may see."""
    now = datetime.now(timezone.utc)
    with transaction() as connection:
        named = listing.dag_ids(connection)
    readable = access.readable(named)
    with transaction() as connection:
        webhooks, total = listing.webhooks_page(connection, _webhook_query(list_request, readable))
        webhooks = [webhook for webhook in webhooks if webhook.dag_id in readable]
        ids = [webhook.id for webhook in webhooks]
        activities = listing.activity(connection, ids, now) if ids else {}
        newest = listing.newest(connection, ids) if ids else {}
        senders = listing.senders(connection, readable)
        environment = environment_problems(connection)
        if access.may_see_roles:
            environment += role_problems(connection)
    reasons = reasons_by_id(webhooks)
    rows = [
        Row(
            webhook,
            reasons[webhook.id],
            activities.get(webhook.id, Activity()),
            newest.get(webhook.id),
            access.may_change(webhook.dag_id),
            access.may_change(webhook.dag_id, "DELETE"),
        )
        for webhook in webhooks
    ]
    return WebhookPage(list_request, rows, total, senders, environment)


def _webhook_query(list_request: ListRequest, readable: set[str]) -> WebhookQuery:
    return WebhookQuery(
        dag_ids=readable,
        dag_team=team_column() if has_teams() else None,
        text=list_request.text,
        dag_id=list_request.dag,
        sender=list_request.sender,
        state=list_request.state,
        sort=list_request.sort,
        descending=list_request.down,
        offset=(list_request.page - 1) * PAGE_SIZE,
        limit=PAGE_SIZE,
    )


def _page(text: str) -> int:
    return min(max(int(text), 1), MAX_PAGE) if text.isdecimal() and len(text) < 9 else 1
