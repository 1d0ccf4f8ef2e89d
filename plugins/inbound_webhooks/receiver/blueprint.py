"""The Flask endpoint: flask.request -> receiver -> flask.Response."""

from __future__ import annotations

import asyncio

from flask import Blueprint, request
from flask import Response as FlaskResponse
from flask.blueprints import BlueprintSetupState

from inbound_webhooks.errors import UnknownWebhook
from inbound_webhooks.event import responses
from inbound_webhooks.event.request import InboundRequest
from inbound_webhooks.event.response import SAFETY_HEADERS
from inbound_webhooks.monitoring.clock import utc_now
from inbound_webhooks.receiver.asgi.admitted import ADMITTED
from inbound_webhooks.receiver.results import Pending

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
    """Answer one request that the guard admitted; its path is masked, and decides nothing here."""
    admitted = ADMITTED.get()
    if admitted is None:
        response = responses.rejected(UnknownWebhook())
    else:
        inbound = InboundRequest(
            method=request.method,
            query_string=request.query_string.decode("ascii"),
            headers=tuple(request.headers.items()),
            # Not Flask's own reader: it returns nothing for a chunked body, which has no Content-Length.
            body=request.environ["wsgi.input"].read(),
            source_ip=admitted.admission.head.source_ip,
            received_at=utc_now(),
        )
        admitted.has_arrived = True
        receiving = admitted.receiver.receive(admitted.admission, inbound)
        received = asyncio.run_coroutine_threadsafe(receiving, admitted.loop).result()
        if isinstance(received, Pending):
            admitted.pending = received
            return FlaskResponse(status=202)
        response = received
    answered = FlaskResponse(response.body, response.status, content_type=response.content_type)
    for name, value in (*SAFETY_HEADERS, *response.headers):
        answered.headers.add(name, value)  # a name may be there twice
    return answered
