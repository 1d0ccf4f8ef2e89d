"""Preview and back-test of the form as typed; nothing is stored and nothing runs."""

from __future__ import annotations

from flask import Response, request
from flask_appbuilder import expose

from inbound_webhooks.deliveries.backtest import BackTest, back_test
from inbound_webhooks.deliveries.preview import preview_request, typed_body
from inbound_webhooks.errors import NotPermitted
from inbound_webhooks.receiver.instance import get_receiver
from inbound_webhooks.records.webhook import Webhook
from inbound_webhooks.web.backtests import CHOICES, shown
from inbound_webhooks.web.base_view import json_reply
from inbound_webhooks.web.form_data import by_place
from inbound_webhooks.web.formatting import pretty, preview_help, route_words, tone
from inbound_webhooks.web.stored_requests import parse_headers
from inbound_webhooks.web.typed_webhook import TypedWebhookView

METHODS = ("POST", "GET")


class PreviewView(TypedWebhookView):
    """JSON for the panel "Try it" of the form."""

    default_view = "new"

    @expose("/try", methods=["POST"])
    def new(self) -> Response:
        """Preview a request with the draft of a new webhook."""
        if not self.access().may_create_any:
            raise NotPermitted
        return self._preview(None)

    @expose("/hook/<webhook_id>/try", methods=["POST"])
    def stored(self, webhook_id: str) -> Response:
        """Preview a request with the changed draft of a webhook."""
        return self._preview(self.changeable(webhook_id))

    @expose("/hook/<webhook_id>/backtest", methods=["POST"])
    def past(self, webhook_id: str) -> Response:
        """Back-test the changed draft against past deliveries."""
        webhook = self.changeable(webhook_id)
        if not self.access().may_read_runs(webhook):
            raise NotPermitted(
                "A back-test shows past requests, so it requires the permission to read the Dag's runs."
            )
        draft, problems = self.typed(webhook)
        if draft is None:
            return json_reply({"problems": by_place(problems)}, 422)
        number = request.form.get("backtest_last", "")
        last = int(number) if number in map(str, CHOICES) else CHOICES[0]
        receiver = get_receiver()
        with receiver.back_tests.held_by(self.access().name):
            test = back_test(receiver, webhook, draft, limit=last, access=self.access())
        # If the webhook had another DAG before, the user may not be allowed to read that DAG's runs.
        return json_reply(shown(BackTest(tuple(filter(self.access().may_read_runs, test.judged)))))

    def _preview(self, stored: Webhook | None) -> Response:
        webhook, problems = self.typed(stored)
        if webhook is None:
            return json_reply({"problems": by_place(problems)}, 422)
        method = request.form.get("try_method", "POST")
        receiver = get_receiver()
        headers = list(parse_headers(request.form.get("try_headers", "")))
        with receiver.previews.held_by(self.access().name):
            preview = preview_request(
                receiver,
                webhook,
                method=method if method in METHODS else "POST",
                query_string=request.form.get("try_query", "").lstrip("?"),
                headers=headers,
                body=typed_body(request.form.get("try_body", "").replace("\r\n", "\n"), headers),
                access=self.access(),
            )
        state = preview["state"]
        return json_reply(
            preview
            | {
                "children": [child | {"tone": tone(child["state"])} for child in preview["children"]],
                "routes": [route | {"words": route_words(route["state"])} for route in preview["routes"]],
                "tone": tone(state),
                "state_help": preview_help(state, webhook),
                "conf_text": pretty(preview["conf"]),
                "computed_text": pretty(preview["computed"]),
                "schedule_text": pretty(preview["schedule"]),
            }
        )
