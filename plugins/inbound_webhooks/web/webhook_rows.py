"""The rows of the list, which the page loads again while it is open."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask import Response, request, url_for
from flask_appbuilder import expose

from inbound_webhooks.storage.database import transaction
from inbound_webhooks.storage.webhooks import webhooks_by_id
from inbound_webhooks.web import catalog
from inbound_webhooks.web.base_view import Page, render_page
from inbound_webhooks.web.catalog import PAGE_SIZE, ListRequest, Row

PLACES = ("list", "dag")


class WebhookRowsView(Page):
    """Rows without the page around them."""

    default_view = "rows"

    @expose("/rows", methods=["GET"])
    def rows(self) -> Response:
        """The rows that a page shows, with their present contents in the order of the page.

        A row never moves while the page is open, since it would move away from under the pointer; what the
        page lacks by now is only announced.
        """
        list_request, place = ListRequest.read(request.args), request.args.get("place", "")
        ids = request.args.get("ids", "").split(",")[:PAGE_SIZE]
        with transaction() as connection:
            found = webhooks_by_id(connection, ids)
        visible = [
            found[webhook_id]
            for webhook_id in ids
            if webhook_id in found and self.access().may_see(found[webhook_id])
        ]
        rows = catalog.rows_of(self.access(), visible)
        return render_page(
            "list_refresh.html",
            access=self.access(),
            is_outdated=set(catalog.ids_of(self.access(), list_request)) != {row.webhook.id for row in rows},
            **values_of(list_request, place if place in PLACES else "list", rows),
        )


def values_of(list_request: ListRequest, place: str, rows: Sequence[Row]) -> dict[str, Any]:
    """What the templates of rows need."""
    query = list_request.query(page=list_request.page)
    return {
        "rows": rows,
        "place": place,
        "here": _list_url(list_request, place),
        "live_url": f"{url_for('WebhookRowsView.rows')}?place={place}&ids="
        f"{','.join(row.webhook.id for row in rows)}&{query}",
        "below_the_name": catalog.BELOW_THE_NAME,
    }


def _list_url(list_request: ListRequest, place: str) -> str:
    if place == "dag":
        url = url_for("WebhooksView.dag", dag_id=list_request.dag)
        query = list_request.query(page=list_request.page, dag="")
    else:
        url, query = url_for("WebhooksView.index"), list_request.query(page=list_request.page)
    return f"{url}?{query}" if query else url
