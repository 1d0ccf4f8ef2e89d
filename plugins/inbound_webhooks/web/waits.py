"""The tab of a task instance: what it waits for, and how to resume it by hand."""

from __future__ import annotations

from flask import Response, flash, request
from flask_appbuilder import expose

from inbound_webhooks.deliveries.seen_events import seen
from inbound_webhooks.errors import NotPermitted
from inbound_webhooks.records.wait import WaitState
from inbound_webhooks.web.base_view import Page, redirected
from inbound_webhooks.web.formatting import wait_tab
from inbound_webhooks.webhooks import waits

QUESTION = "Resume the task without a request? It continues with None as its result."


class WaitsView(Page):
    """Tasks that wait for a call or an event."""

    default_view = "of_task"

    @expose("/task", methods=["GET"])
    def of_task(self) -> Response:
        """The tab of a task instance; the task is in the query, since run ids have slashes."""
        dag_id, given = request.args.get("dag_id", ""), request.args
        if not self.access().may_see(dag_id):
            raise NotPermitted("You may not see this Dag.")
        try:
            map_index = int(given.get("map_index", ""))
        except ValueError:  # not mapped: Airflow leaves the placeholder
            map_index = -1
        found = waits.of_task(dag_id, given.get("run_id", ""), given.get("task_id", ""), map_index)
        return self.show(
            "waits.html",
            waits=found,
            seen={wait.id: seen(self.access(), wait) for wait in found if wait.state == WaitState.WAITING},
            question=QUESTION,
            may_resume=self.access().may_clear(dag_id),
            waiting=WaitState.WAITING,
        )

    @expose("/wait/<wait_id>/resume", methods=["POST"])
    def resume(self, wait_id: str) -> Response:
        """Resume a waiting task without a request, once the user has confirmed it."""
        if request.form.get("confirmed") != "1":
            wait = waits.find(self.access(), wait_id)
            return self.show("confirm.html", question=QUESTION, fields=[], back=wait_tab(wait))
        wait = waits.resume(self.access(), wait_id, actor=self.access().name)
        flash("Resumed. The task continues with None as its result.")
        return redirected(wait_tab(wait))
