"""A webhook's deliveries and rejections, one delivery in full, and its replay."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import Response, flash, render_template, request, url_for
from flask_appbuilder import expose

from inbound_webhooks.airflow_bridge.dag_runs import RUN_PREFIX
from inbound_webhooks.deliveries.details import waiting_reason
from inbound_webhooks.deliveries.replay import replay
from inbound_webhooks.deliveries.stored_request import headers_of, text_of
from inbound_webhooks.errors import DeliveryNotFound, NotPermitted
from inbound_webhooks.receiver.instance import get_receiver
from inbound_webhooks.records.delivery import Delivery, State
from inbound_webhooks.settings import Settings
from inbound_webhooks.storage import listing
from inbound_webhooks.storage.database import transaction
from inbound_webhooks.storage.deliveries import find_delivery
from inbound_webhooks.storage.listing import OPEN_STATES, RunFacts
from inbound_webhooks.storage.mails import mails_of_delivery
from inbound_webhooks.storage.outcomes import load_tasks
from inbound_webhooks.storage.rejections import KEPT_REJECTIONS, list_rejections
from inbound_webhooks.storage.webhooks import webhook_by_id
from inbound_webhooks.urls import log_url
from inbound_webhooks.web import stored_requests
from inbound_webhooks.web.base_view import airflow_url, json_reply, redirected
from inbound_webhooks.web.formatting import iso
from inbound_webhooks.web.webhooks import WebhookBaseView

PAGE_SIZE = 25

_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Shown:
    """A delivery with the facts about its run from Airflow."""

    delivery: Any
    run: RunFacts | None

    @property
    def state(self) -> str:
        """The delivery's state; until the end of its run is recorded, the run's state."""
        is_dispatched = self.delivery.state == State.DISPATCHED
        state = self.run.state if is_dispatched and self.run else str(self.delivery.state)
        # Airflow's name for the state, until the run tracker has recorded the end.
        return State.SUCCEEDED if state == "success" else state

    @property
    def is_open(self) -> bool:
        """Whether its state can still change."""
        return self.delivery.state in OPEN_STATES

    @property
    def started_at(self) -> datetime | None:
        """The run's start. The recorded one comes first: Airflow may have purged the run since."""
        return self.delivery.run_started_at or (self.run.started_at if self.run else None)

    @property
    def ended_at(self) -> datetime | None:
        """The run's end; None while it is running."""
        # Without a run, finished_at is the time when the dispatcher gave up.
        recorded = self.delivery.finished_at if self.delivery.run_id else None
        return recorded or (self.run.ended_at if self.run else None)

    @property
    def seconds(self) -> float | None:
        """The run's duration; None while it is running."""
        if self.started_at is None or self.ended_at is None:
            return None
        return (self.ended_at - self.started_at).total_seconds()


def with_runs(connection: Any, rows: Sequence[Any]) -> list[Shown]:
    """Pair each delivery with its run."""
    facts = listing.run_facts(connection, {(row.dag_id, row.run_id) for row in rows if row.run_id})
    return [Shown(row, facts.get((row.dag_id, row.run_id))) for row in rows]


class DeliveriesView(WebhookBaseView):
    """Deliveries and rejections."""

    default_view = "of_webhook"

    @expose("/hook/<webhook_id>/deliveries", methods=["GET"])
    def of_webhook(self, webhook_id: str) -> Response:
        """A webhook's newest deliveries, or those before a given one."""
        webhook = self.visible(webhook_id)
        state, before = request.args.get("state", ""), _id(request.args.get("before", ""))
        state = state if state in State.ALL else ""
        with transaction() as connection:
            rows = listing.deliveries_page(
                connection, webhook.id, state=state, before=before, limit=PAGE_SIZE + 1
            )
            shown = with_runs(connection, self._readable(rows[:PAGE_SIZE]))
            rejections = list_rejections(connection, webhook.id, KEPT_REJECTIONS)
        return self.show(
            "deliveries.html",
            webhook=webhook,
            deliveries=shown,
            older=rows[PAGE_SIZE - 1].id if len(rows) > PAGE_SIZE else None,
            is_first=not before,
            rejections=rejections,
            state=state,
            states=State.ALL,
            may_change=self.access().may_change(webhook.dag_id),
        )

    @expose("/hook/<webhook_id>/deliveries.json", methods=["GET"])
    def changes(self, webhook_id: str) -> Response:
        """Deliveries newer than the newest on the page, and the current state of its unfinished ones."""
        webhook = self.visible(webhook_id)
        state = request.args.get("state", "")
        after = _id(request.args.get("after", "")) or listing.first_id_at(webhook.created_at)
        still_open = [found for found in request.args.get("open", "").split(",") if _id(found)][:PAGE_SIZE]
        with transaction() as connection:
            new = listing.deliveries_page(
                connection,
                webhook.id,
                after=after,
                state=state if state in State.ALL else "",
                limit=PAGE_SIZE,
            )
            old = listing.deliveries_by_id(connection, webhook.id, still_open) if still_open else []
            shown = with_runs(connection, self._readable([*new, *old]))
        return json_reply([self._row(found) for found in shown])

    def _row(self, shown: Shown) -> dict[str, Any]:
        html = render_template("inbound_webhooks/delivery_row.html", item=shown, airflow_url=airflow_url)
        return {"id": shown.delivery.id, "open": shown.is_open, "html": html}

    def _readable(self, rows: Sequence[Any]) -> list[Any]:
        # The webhook may have had another DAG before, which its current readers may not see.
        return [row for row in rows if self.access().may_see(row.dag_id)]

    @expose("/delivery/<delivery_id>", methods=["GET"])
    def one(self, delivery_id: str) -> Response:
        """One delivery in full."""
        return self._one(self._found(delivery_id), place="page")

    @expose("/run/<dag_id>/<path:run_id>", methods=["GET"])
    def of_run(self, dag_id: str, run_id: str) -> Response:
        """The tab of a DAG run: the delivery that started it."""
        if not self.access().may_see(dag_id):
            raise NotPermitted("You may not see this Dag.")
        with transaction() as connection:
            delivery = find_delivery(connection, run_id.removeprefix(RUN_PREFIX))
        if delivery is None or delivery.run_id != run_id or delivery.dag_id != dag_id:
            return self.show("no_delivery.html")
        return self._one(delivery, place="run")

    def _one(self, delivery: Delivery, place: str) -> Response:
        may_read = self.access().may_read_runs(delivery.dag_id)
        with transaction() as connection:
            (shown,) = with_runs(connection, [delivery])
            webhook = webhook_by_id(connection, delivery.webhook_id)
            waits_for = waiting_reason(connection, delivery)
        visible = webhook is not None and self.access().may_see(webhook.dag_id)
        contents = self._contents(delivery) if may_read else None
        return self.show(
            "delivery.html",
            item=shown,
            webhook=webhook if visible else None,
            contents=contents,
            family=self._family(delivery),
            mails=self._mails(delivery) if may_read else None,
            failed_tasks=self._failed_tasks(delivery) if may_read else [],
            waits_for=waits_for,
            place=place,
            may_replay=visible
            and webhook is not None
            and may_read
            and self.access().may_replay(webhook.dag_id),
        )

    def _family(self, delivery: Delivery) -> dict[str, Any]:
        """The replayed delivery and this one's replays, if the user may see them."""
        with transaction() as connection:
            origin = find_delivery(connection, delivery.replay_of) if delivery.replay_of else None
            replays = listing.replays_of(connection, delivery.id)
        return {
            "origin": next(iter(self._readable([origin] if origin else [])), None),
            "replays": self._readable(replays),
        }

    def _mails(self, delivery: Delivery) -> Sequence[Any]:
        with transaction() as connection:
            return mails_of_delivery(connection, delivery.id)

    def _failed_tasks(self, delivery: Delivery) -> list[tuple[Any, str]]:
        """The failed tasks, each with the URL of its log."""
        base_url, run_id = airflow_url("").rstrip("/"), delivery.run_id or ""
        tasks = load_tasks(delivery.failed_tasks)
        return [(task, log_url(base_url, delivery.dag_id, run_id, task)) for task in tasks]

    def _contents(self, delivery: Delivery) -> dict[str, Any]:
        """The parts that require the permission to read the DAG's runs."""
        return {
            "headers": headers_of(delivery),
            "query": delivery.query_string,
            "body": stored_requests.shown_body(delivery, Settings.load().max_body_bytes),
            "conf": json.loads(delivery.conf) if delivery.conf is not None else None,
        }

    @expose("/delivery/<delivery_id>/replay", methods=["POST"])
    def replay(self, delivery_id: str) -> Response:
        """Process the delivery again, with its original conf or with the current mapping."""
        delivery = self._found(delivery_id)
        with transaction() as connection:
            webhook = webhook_by_id(connection, delivery.webhook_id)
        if webhook is not None and not self.access().may_replay(webhook.dag_id):
            raise NotPermitted(f"A replay requires the permission to trigger the Dag {webhook.dag_id}.")
        if not self.access().may_read_runs(delivery.dag_id):
            raise NotPermitted("A replay requires the permission to read the runs of the delivery's Dag.")
        replayed = replay(
            get_receiver(),
            delivery.id,
            actor=self.access().name,
            remap=request.form.get("remap") == "1",
            checked=webhook,
        )
        flash("Replayed. This is the new delivery.")
        return redirected(url_for("DeliveriesView.one", delivery_id=replayed.id))

    @expose("/hook/<webhook_id>/fields.json", methods=["GET"])
    def fields(self, webhook_id: str) -> Response:
        """The paths in the newest delivery, for the completion of expressions."""
        webhook = self.visible(webhook_id)
        with transaction() as connection:
            newest = listing.newest_with_body(connection, webhook.id)
        if newest is None or not self.access().may_read_runs(newest.dag_id):
            return json_reply([])
        return json_reply(stored_requests.fields_of(newest, Settings.load().max_body_bytes))

    @expose("/hook/<webhook_id>/recent.json", methods=["GET"])
    def recent(self, webhook_id: str) -> Response:
        """The newest deliveries that the user may preview with."""
        webhook = self.visible(webhook_id)
        with transaction() as connection:
            rows = listing.deliveries_page(connection, webhook.id, limit=10)
        found = [row for row in rows if self.access().may_read_runs(row.dag_id)]
        return json_reply([{"id": row.id, "state": row.state, "at": iso(row.received_at)} for row in found])

    @expose("/delivery/<delivery_id>.json", methods=["GET"])
    def sample(self, delivery_id: str) -> Response:
        """A stored request to preview with; credentials stay masked."""
        delivery = self._found(delivery_id)
        if not self.access().may_read_runs(delivery.dag_id):
            raise NotPermitted("You may not read the runs of this Dag.")
        encoded = ("content-encoding", "content-length")
        headers = [pair for pair in headers_of(delivery) if pair[0].lower() not in encoded]
        return json_reply(
            {
                "headers": "\n".join(f"{name}: {value}" for name, value in headers),
                "query": delivery.query_string,
                "body": text_of(delivery, Settings.load().max_body_bytes),
            }
        )

    def _found(self, delivery_id: str) -> Delivery:
        with transaction() as connection:
            delivery = find_delivery(connection, delivery_id)
        if delivery is None or not self.access().may_see(delivery.dag_id):
            raise DeliveryNotFound("There is no such delivery, or you may not see its Dag.")
        return delivery


def _id(text: str) -> str:
    return text if _ID.fullmatch(text) else ""
