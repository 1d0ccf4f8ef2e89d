"""Lists of deliveries that update themselves: of all webhooks with filters, and of one webhook."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from flask import Response, request, url_for
from flask_appbuilder import expose

from inbound_webhooks.deliveries import search
from inbound_webhooks.errors import InvalidDefinition, SearchTooLong, TooManyTrials
from inbound_webhooks.receiver.instance import get_receiver
from inbound_webhooks.records.delivery import State
from inbound_webhooks.records.delivery_filter import CONDITIONS, DeliveryFilter, parse
from inbound_webhooks.records.target import origin
from inbound_webhooks.storage.database import transaction
from inbound_webhooks.storage.delivery_search import MAX_COUNTED
from inbound_webhooks.storage.webhooks import webhook_by_id
from inbound_webhooks.web.base_view import fragment
from inbound_webhooks.web.shown_delivery import Shown, with_runs
from inbound_webhooks.web.webhooks import WebhookBaseView
from inbound_webhooks.webhooks.access import Access

PAGE_SIZE = 25

_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, kw_only=True)
class DeliveryList:
    """A page of a list, for ``delivery_list.html``.

    ``query`` has the conditions for a URL. ``count`` is None where nothing was counted. ``older`` is the id
    behind which the next page begins. ``notice`` says why the list is empty although something may match.
    """

    wanted: DeliveryFilter
    webhook_id: str = ""
    items: list[Shown] = field(default_factory=list)
    count: int | None = None
    before: str = ""
    older: str | None = None
    searched_to: datetime | None = None
    notice: str = ""
    problems: dict[str, list[str]] = field(default_factory=dict)
    may_replay: bool = False

    @property
    def query(self) -> str:
        """The conditions as the query of a URL, without that of the path."""
        return urlencode(
            [pair for pair in self.wanted.pairs() if not (self.webhook_id and pair[0] == "webhook")]
        )

    @property
    def whole_query(self) -> str:
        """All conditions as the query of a URL."""
        return urlencode(self.wanted.pairs())

    def url(self, *, before: str = "", rows: bool = False) -> str:
        """The page with the deliveries behind ``before``, or only its list."""
        pairs = [self.query] if self.query else []
        pairs += [urlencode({"before": before})] if before else []
        of_one: dict[str, Any] = {"webhook_id": self.webhook_id} if self.webhook_id else {}
        page = "DeliveriesView.of_webhook" if self.webhook_id else "DeliveryListsView.all"
        part = "DeliveryListsView.rows_of_webhook" if self.webhook_id else "DeliveryListsView.rows"
        return "?".join([url_for(part if rows else page, **of_one), "&".join(pairs)]).rstrip("?")

    @property
    def counted(self) -> str:
        """``17 deliveries``, ``10,000+ deliveries``; "" where nothing was counted."""
        if self.count is None:
            return ""
        number = f"{MAX_COUNTED:,}+" if self.count > MAX_COUNTED else f"{self.count:,}"
        return f"{number} {'delivery' if self.count == 1 else 'deliveries'}"

    @property
    def is_live(self) -> bool:
        """Whether the list updates itself; a search for a text is too costly to be repeated."""
        return not (self.wanted.text or self.problems or self.notice)


class DeliveryListsView(WebhookBaseView):
    """Deliveries of all webhooks that the user may see, and the parts of lists that update themselves."""

    default_view = "all"

    @expose("/deliveries", methods=["GET"])
    def all(self) -> Response:
        """Deliveries of all webhooks, deleted ones included."""
        found = read_list(self.access())
        return self.show(
            "all_deliveries.html",
            list=found,
            filter=found.wanted,
            states=State.ALL,
            given=self._given(found.wanted.webhook),
        )

    def _given(self, webhook: str) -> dict[str, str]:
        """The submitted conditions; a webhook that was given by its id has its name."""
        given = request.args.to_dict()
        if webhook:
            with transaction() as connection:
                found = webhook_by_id(connection, webhook)
            if found is not None and self.access().may_see(found):
                given["webhook"] = found.name
        return given

    @expose("/deliveries/rows", methods=["GET"])
    def rows(self) -> Response:
        """The list of this page alone."""
        return fragment("delivery_list.html", list=read_list(self.access()), access=self.access())

    @expose("/hook/<webhook_id>/deliveries/rows", methods=["GET"])
    def rows_of_webhook(self, webhook_id: str) -> Response:
        """The list of a webhook's page alone."""
        found = read_list(self.access(), self.visible(webhook_id).id)
        return fragment("delivery_list.html", list=found, access=self.access())


def read_list(access: Access, webhook_id: str = "") -> DeliveryList:
    """The page of deliveries that the request's URL describes.

    :param webhook_id: of the webhook whose deliveries these are, "" for all
    """
    given = request.args.items(multi=True)
    pairs = [pair for pair in given if pair[0] in CONDITIONS and not (webhook_id and pair[0] == "webhook")]
    try:
        wanted = parse([*pairs, ("webhook", webhook_id)])
    except InvalidDefinition as error:
        problem = {error.problem.field: [error.problem.message]}
        return DeliveryList(
            wanted=DeliveryFilter(webhook=webhook_id), webhook_id=webhook_id, problems=problem
        )
    before = request.args.get("before", "")
    before = before if _ID.fullmatch(before) else ""
    known: dict[str, Any] = {"wanted": wanted, "webhook_id": webhook_id, "before": before}
    try:
        found = _find(wanted, access, before)
    except (SearchTooLong, TooManyTrials) as error:
        return DeliveryList(**known, notice=error.message)
    with transaction() as connection:
        items = with_runs(connection, found.rows)
    return DeliveryList(
        **known,
        items=items,
        count=search.count(wanted, access),
        older=found.cursor,
        searched_to=found.searched_to,
        may_replay=access.may_replay_one_of({origin(row.dag_id, row.webhook_id) for row in found.rows}),
    )


def _find(wanted: DeliveryFilter, access: Access, before: str) -> search.Found:
    if not wanted.text:
        return search.find(wanted, access, before=before, limit=PAGE_SIZE)
    with get_receiver().searches.held_by(access.name):
        return search.find(wanted, access, before=before, limit=PAGE_SIZE)
