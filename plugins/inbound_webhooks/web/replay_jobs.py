"""Replays of many deliveries: started from a list or a filter, followed, cancelled."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from flask import Response, flash, request, url_for
from flask_appbuilder import expose

from inbound_webhooks.deliveries import replay_jobs, search
from inbound_webhooks.receiver.instance import get_receiver
from inbound_webhooks.records.delivery_filter import CONDITIONS, DeliveryFilter, parse
from inbound_webhooks.records.replay_job import ItemState
from inbound_webhooks.records.target import Origin
from inbound_webhooks.settings import Settings
from inbound_webhooks.storage.database import transaction
from inbound_webhooks.storage.delivery_search import rows_of
from inbound_webhooks.storage.webhooks import webhook_by_id
from inbound_webhooks.web.base_view import fragment, redirected
from inbound_webhooks.web.shown_delivery import Shown, with_runs
from inbound_webhooks.web.webhooks import WebhookBaseView

MAX_SELECTED = 100
"""Deliveries that a page lets select one by one."""

LISTED = 25

STOPS_POLLING = 286
"""Status of a response after which htmx stops polling."""


class ReplayJobsView(WebhookBaseView):
    """Replay jobs."""

    default_view = "all"

    @expose("/replays", methods=["GET"])
    def all(self) -> Response:
        """The newest jobs that the user may see."""
        return self.show("replays.html", reports=self._reports())

    @expose("/replays/rows", methods=["GET"])
    def rows(self) -> Response:
        """The list of jobs alone."""
        return fragment("replay_list.html", reports=self._reports(), access=self.access())

    def _reports(self) -> list[replay_jobs.Report]:
        return replay_jobs.reports(self.access(), self.access().name, limit=LISTED)

    @expose("/replays/new", methods=["GET"])
    def new(self) -> Response:
        """What would be replayed, before it is."""
        replay_jobs.require_permission(self.access())
        where = _conditions(request.args.items(multi=True))
        counted = search.count(where, self.access())
        most = Settings.load().max_replay_deliveries
        names = self._webhook_names(where.pairs())
        return self.show("new_replay.html", where=where, counted=counted, most=most, names=names)

    @expose("/replays", methods=["POST"])
    def start(self) -> Response:
        """Start a job for the selected deliveries, or for those of a filter."""
        access, remap = self.access(), request.form.get("remap") == "1"
        what: dict[str, Any] = {"ids": request.form.getlist("delivery")[:MAX_SELECTED]}
        if request.form.get("all") == "1":
            what = {"where": _conditions(request.form.items(multi=True))}
        with get_receiver().searches.held_by(access.name):
            job = replay_jobs.start(access=access, actor=access.name, remap=remap, **what)
        return redirected(url_for("ReplayJobsView.one", job_id=job.id))

    @expose("/replays/<job_id>", methods=["GET"])
    def one(self, job_id: str) -> Response:
        """A job with its progress, and its report when it has ended."""
        return self.show("replay.html", **self._values(job_id))

    @expose("/replays/<job_id>/progress", methods=["GET"])
    def progress(self, job_id: str) -> Response:
        """The part of this page that changes."""
        values = self._values(job_id)
        response = fragment("replay_progress.html", access=self.access(), **values)
        if not values["is_live"]:
            response.status_code = STOPS_POLLING
        return response

    def _values(self, job_id: str) -> dict[str, Any]:
        report = replay_jobs.report(job_id, self.access(), self.access().name)
        conditions = json.loads(report.job.conditions)
        origins = [Origin(dag_id) for dag_id in json.loads(report.job.dag_ids)]
        replays = self._replays([item.replay_id for item in report.replays if item.replay_id])
        return {
            "report": report,
            "replays": replays,
            "is_live": report.job.is_running or any(each.is_open for each in replays.values()),
            "conditions": conditions,
            "names": self._webhook_names(conditions),
            "states": ItemState,
            "may_cancel": self.access().may_replay_one_of(origins),
        }

    def _replays(self, ids: Sequence[str]) -> dict[str, Shown]:
        """Id -> new delivery of a job, as far as the user may see it."""
        with transaction() as connection:
            found = [row for row in rows_of(connection, ids) if self.access().may_see(row)]
            return {each.delivery.id: each for each in with_runs(connection, found)}

    def _webhook_names(self, conditions: Iterable[tuple[str, str]]) -> dict[str, str]:
        """Id -> name of the webhooks of a filter that the user may see."""
        with transaction() as connection:
            found = [webhook_by_id(connection, value) for name, value in conditions if name == "webhook"]
        return {each.id: each.name for each in found if each and self.access().may_see(each)}

    @expose("/replays/<job_id>/cancel", methods=["POST"])
    def cancel(self, job_id: str) -> Response:
        """Stop a job; what was replayed stays."""
        if replay_jobs.cancel(job_id, self.access(), self.access().name):
            flash("Cancelled. No further delivery is replayed.")
        else:
            flash("The job had ended already.")
        return redirected(url_for("ReplayJobsView.one", job_id=job_id))


def _conditions(given: Any) -> DeliveryFilter:
    return parse([pair for pair in given if pair[0] in CONDITIONS])
