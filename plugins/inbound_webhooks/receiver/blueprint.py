"""The Flask front door: flask.request -> receive -> flask.Response, and nothing else."""

from __future__ import annotations

from flask import Blueprint, request
from flask import Response as FlaskResponse
from flask.blueprints import BlueprintSetupState

from inbound_webhooks.errors import UnknownWebhook
from inbound_webhooks.event import responses
from inbound_webhooks.event.request import InboundRequest
from inbound_webhooks.event.response import Response
from inbound_webhooks.receiver.asgi.guard import ADMITTED, Admitted
from inbound_webhooks.receiver.pipeline import utc_now

blueprint = Blueprint("inbound_webhooks", __name__)


@blueprint.record_once
def _without_csrf_token(state: BlueprintSetupState) -> None:
    # Senders have no session, so there is none to protect; FAB's app answers 400 otherwise. Airflow's
    # commands register blueprints too, with an application that has no such protection.
    if "csrf" in state.app.extensions:
        state.app.extensions["csrf"].exempt(blueprint)


@blueprint.route(
    "/webhook/<webhook_id>/<token>",
    methods=["GET", "HEAD", "OPTIONS", "POST"],
    provide_automatic_options=False,
)
def webhook(webhook_id: str, token: str) -> FlaskResponse:
    """Answer one request that the guard let in; the path has neither its token nor any say here."""
    admitted = ADMITTED.get()
    response = responses.rejected(UnknownWebhook()) if admitted is None else _respond(admitted)
    answered = FlaskResponse(response.body, response.status)
    for name, value in response.all_headers:
        answered.headers[name] = value
    return answered


def _respond(admitted: Admitted) -> Response:
    inbound = InboundRequest(
        method=request.method,
        query_string=request.query_string.decode("ascii"),
        headers=tuple(request.headers.items()),
        # Not flask's own reader: it gives nothing for a chunked body, which has no Content-Length.
        body=request.environ["wsgi.input"].read(),
        source_ip=admitted.admission.head.source_ip,
        received_at=utc_now(),
    )
    return admitted.wait_for_response(inbound)
