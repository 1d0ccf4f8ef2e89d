"""The sample request of a form as typed, its commands for a shell, and the test event that is really sent."""

from __future__ import annotations

from typing import Any

from flask import Response, request, url_for
from flask_appbuilder import expose

from inbound_webhooks.deliveries import samples
from inbound_webhooks.deliveries.preview import typed_body
from inbound_webhooks.errors import DefinitionError, NotPermitted
from inbound_webhooks.event.sampling.events import SampleRequest
from inbound_webhooks.receiver.instance import get_receiver
from inbound_webhooks.receiver.trial_events import send_test_event
from inbound_webhooks.records.webhook import Webhook
from inbound_webhooks.web.base_view import json_reply
from inbound_webhooks.web.form_data import by_place
from inbound_webhooks.web.forms import WebhookForm
from inbound_webhooks.web.json_tree import request_tree
from inbound_webhooks.web.stored_requests import parse_headers
from inbound_webhooks.web.typed_webhook import TypedWebhookView


class SamplesView(TypedWebhookView):
    """Samples of the form."""

    default_view = "new"

    @expose("/sample", methods=["POST"])
    def new(self) -> Response:
        """The sample of a new webhook."""
        if not self.access().may_create_any:
            raise NotPermitted
        return self._sample(None)

    @expose("/hook/<webhook_id>/sample", methods=["POST"])
    def stored(self, webhook_id: str) -> Response:
        """The sample of a webhook's changed form."""
        return self._sample(self.changeable(webhook_id))

    @expose("/sample/tree", methods=["POST"])
    def tree(self) -> Response:
        """The tree of the sample of a new webhook's form."""
        if not self.access().may_create_any:
            raise NotPermitted
        return self._tree(None)

    @expose("/hook/<webhook_id>/sample/tree", methods=["POST"])
    def stored_tree(self, webhook_id: str) -> Response:
        """The tree of the sample of a webhook's changed form."""
        return self._tree(self.changeable(webhook_id))

    @expose("/hook/<webhook_id>/send", methods=["POST"])
    def send(self, webhook_id: str) -> Response:
        """Send the edited sample to the endpoint of this process, signed where that is possible."""
        webhook = self.changeable(webhook_id)
        receiver = get_receiver()
        headers = parse_headers(request.form.get("try_headers", ""))
        text = request.form.get("try_body", "").replace("\r\n", "\n")
        sent = SampleRequest(text, tuple(headers), request.form.get("try_query", "").lstrip("?"))
        with receiver.previews.held_by(self.access().name):
            result = send_test_event(
                receiver,
                webhook,
                sent,
                plain_body=typed_body(text, headers),
                source_ip=request.remote_addr or "127.0.0.1",
                actor=self.access().name,
            )
        found = result.delivery_id
        location = url_for("DeliveriesView.one", delivery_id=found) if found else None
        answer = {"status": result.status, "body": result.body, "note": result.note, "location": location}
        return json_reply(answer)

    def _sample(self, stored: Webhook | None) -> Response:
        return self._built(stored, lambda _, sample: json_reply(samples.as_data(sample)))

    def _tree(self, stored: Webhook | None) -> Response:
        """The tree; nothing while the form has a field that cannot be read, which its problem says."""

        def shown(_webhook: Webhook, sample: SampleRequest) -> Response:
            content = typed_body(sample.body, sample.headers)
            nodes = request_tree(content, sample.headers, sample.query_string)
            return self.show("event_tree.html", nodes=nodes)

        response = self._built(stored, shown)
        return Response(status=204) if response.status_code == 422 else response

    def _built(self, stored: Webhook | None, show: Any) -> Response:
        try:
            webhook = self.unchecked(WebhookForm(), stored)
        except DefinitionError as error:
            return json_reply({"problems": by_place([error.problem])}, 422)
        receiver = get_receiver()
        with receiver.previews.held_by(self.access().name):
            # The params say something about a DAG that the user may not see.
            if webhook.dag_id and self.access().may_see(webhook):
                return show(webhook, samples.sample_of(webhook, receiver.judging.dags, offers_names=True))
            return show(webhook, samples.sample_for(webhook, {}))
