"""One delivery: its page, the tab of its run, the parts that follow changes, its body, and its replay."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from flask import Response, flash, request, url_for
from flask_appbuilder import expose

from inbound_webhooks.airflow_bridge.dag_runs import run_suffix_of
from inbound_webhooks.deliveries.replay import replay
from inbound_webhooks.deliveries.retry_now import retry_now
from inbound_webhooks.deliveries.sent_response import sent_response
from inbound_webhooks.deliveries.stored_request import content_of
from inbound_webhooks.errors import DeliveryNotFound, NotPermitted, RequestError, TokenUnreadable
from inbound_webhooks.receiver.instance import get_receiver
from inbound_webhooks.records.delivery import Delivery
from inbound_webhooks.records.target import subject_of
from inbound_webhooks.settings import Settings
from inbound_webhooks.storage.database import transaction
from inbound_webhooks.storage.deliveries import find_delivery, find_of_run
from inbound_webhooks.storage.listing import light_delivery
from inbound_webhooks.storage.webhooks import webhook_by_id
from inbound_webhooks.web import delivery_content
from inbound_webhooks.web.base_view import fragment, json_reply, redirected, wants_fragment
from inbound_webhooks.web.curl_command import curl_command
from inbound_webhooks.web.live_delivery import LiveDelivery, read_live
from inbound_webhooks.web.webhooks import WebhookBaseView
from inbound_webhooks.webhooks import service

STOP_POLLING = 286
"""The status on which htmx ends a poll."""

PLACES = ("page", "run")


class DeliveryPages(WebhookBaseView):
    """Routes of one delivery."""

    @expose("/delivery/<delivery_id>", methods=["GET"])
    def one(self, delivery_id: str) -> Response:
        """One delivery in full."""
        return self._one(self.found(delivery_id), place="page")

    @expose("/run/<dag_id>/<path:run_id>", methods=["GET"])
    def of_run(self, dag_id: str, run_id: str) -> Response:
        """The tab of a DAG run: the delivery that started it."""
        if not self.access().may_see(dag_id):
            raise NotPermitted("You may not see this Dag.")
        with transaction() as connection:
            delivery = find_of_run(connection, run_suffix_of(run_id))
        if delivery is None or delivery.run_id != run_id or delivery.dag_id != dag_id:
            return self.show("no_delivery.html")
        return self._one(delivery, place="run")

    def _one(self, delivery: Delivery, place: str) -> Response:
        contents = sent = None
        if self.access().may_read_runs(delivery):
            contents = delivery_content.contents_of(delivery, Settings.load().max_body_bytes)
            with transaction() as connection:
                sent = sent_response(connection, delivery)
        return self.show(
            "delivery.html",
            live=self._live(delivery.id),
            contents=contents,
            sent=sent and delivery_content.sent_viewer(sent),
            sent_response=sent,
            place=place,
        )

    @expose("/delivery/<delivery_id>/live", methods=["GET"])
    def live(self, delivery_id: str) -> Response:
        """The parts of the page that follow changes; 286 once nothing can change any more."""
        live = self._live(delivery_id)
        response = fragment("delivery_live.html", live=live, place=_place(request.args), is_alone=True)
        if live.is_final:
            response.status_code = STOP_POLLING
        return response

    def _live(self, delivery_id: str) -> LiveDelivery:
        with transaction() as connection:
            row = light_delivery(connection, delivery_id)
        if row is None or not self.access().may_see(row):
            raise _not_found()
        return read_live(self.access(), row)

    @expose("/delivery/<delivery_id>/replay", methods=["POST"])
    def replay(self, delivery_id: str) -> Response:
        """Process the delivery again, with its original conf or with the current mapping."""
        delivery = self.found(delivery_id)
        with transaction() as connection:
            webhook = webhook_by_id(connection, delivery.webhook_id)
        if webhook is not None and not self.access().may_replay(webhook):
            raise NotPermitted(f"A replay requires the permission {subject_of(webhook).right('Dag')}.")
        if not self.access().may_read_runs(delivery):
            raise NotPermitted("A replay requires the permission to read the runs of the delivery's Dag.")
        replayed = replay(
            get_receiver(),
            delivery.id,
            actor=self.access().name,
            remap=request.form.get("remap") == "1",
            checked=webhook,
        )
        return self._after_replay(delivery, replayed, _place(request.form))

    @expose("/delivery/<delivery_id>/retry", methods=["POST"])
    def retry(self, delivery_id: str) -> Response:
        """Try the delivery and its mails again now."""
        delivery = self.found(delivery_id)
        with transaction() as connection:
            webhook = webhook_by_id(connection, delivery.webhook_id)
        if not (self.access().may_replay(webhook or delivery) and self.access().may_read_runs(delivery)):
            raise NotPermitted("A retry requires the permission for a replay of the delivery.")
        sentence = retry_now(delivery.id, actor=self.access().name).sentence
        if wants_fragment():
            live, place = self._live(delivery.id), _place(request.form)
            return fragment("delivery_live.html", live=live, place=place, is_alone=True, toast=sentence)
        flash(sentence)
        return redirected(url_for("DeliveriesView.one", delivery_id=delivery.id))

    def _after_replay(self, delivery: Delivery, replayed: Delivery, place: str) -> Response:
        """The same page, which lists the replay; the tab of a run stays that of its delivery."""
        if wants_fragment():
            live = self._live(delivery.id)
            toast = "Replayed. The new delivery is listed on this page."
            return fragment("delivery_live.html", live=live, place=place, is_alone=True, toast=toast)
        flash("Replayed.")
        if place == "run" and delivery.run_id is not None:
            target = url_for("DeliveriesView.of_run", dag_id=delivery.dag_id, run_id=delivery.run_id)
        else:
            target = url_for("DeliveriesView.one", delivery_id=replayed.id)
        return redirected(target)

    @expose("/delivery/<delivery_id>/body", methods=["GET"])
    def body(self, delivery_id: str) -> Response:
        """The body as a file, after decompression."""
        delivery = self._readable_delivery(delivery_id)
        if not delivery.body_stored:
            raise DeliveryNotFound("The body of this delivery is not stored.")
        try:
            content = content_of(delivery, Settings.load().max_body_bytes)
        except RequestError:
            content = delivery.body
        response = Response(content, mimetype="application/octet-stream")
        name = f"{delivery.id}.{delivery_content.extension_of(delivery)}"
        response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
        return response

    @expose("/delivery/<delivery_id>/curl.json", methods=["GET"])
    def curl(self, delivery_id: str) -> Response:
        """The request as a command; it names the URL only to users who may change the webhook."""
        delivery = self._readable_delivery(delivery_id)
        with transaction() as connection:
            webhook = webhook_by_id(connection, delivery.webhook_id)
        url = ""
        if webhook is not None and self.access().may_change(webhook):
            # Without a readable token the command still shows everything else.
            with suppress(TokenUnreadable):
                url = service.url(webhook)
        return json_reply({"text": curl_command(delivery, url, Settings.load().max_body_bytes, webhook)})

    def found(self, delivery_id: str) -> Delivery:
        """A delivery that the user may see.

        :raises DeliveryNotFound: it does not exist, or the user may not see it; both look the same
        """
        with transaction() as connection:
            delivery = find_delivery(connection, delivery_id)
        if delivery is None or not self.access().may_see(delivery):
            raise _not_found()
        return delivery

    def _readable_delivery(self, delivery_id: str) -> Delivery:
        delivery = self.found(delivery_id)
        if not self.access().may_read_runs(delivery):
            raise NotPermitted("You may not read the runs of this Dag.")
        return delivery


def _place(values: Any) -> str:
    place: str = values.get("place", "")
    return place if place in PLACES else PLACES[0]


def _not_found() -> DeliveryNotFound:
    return DeliveryNotFound("There is no such delivery, or you may not see its Dag.")
