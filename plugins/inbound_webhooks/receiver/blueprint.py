"""The Flask front door: flask.request -> receive -> flask.Response, and nothing else."""

from __future__ import annotations

from flask import Blueprint, Response, request
from flask.blueprints import BlueprintSetupState

from inbound_webhooks.errors import RequestError
from inbound_webhooks.event.request import InboundRequest
from inbound_webhooks.event.response import Answer
from inbound_webhooks.receiver import answers
from inbound_webhooks.receiver.door import door
from inbound_webhooks.receiver.guard import ADMISSION, TOKEN_MASK
from inbound_webhooks.receiver.receive import Admission, RequestHead, utc_now
from inbound_webhooks.receiver.source import source_address

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
def webhook(webhook_id: str, token: str) -> Response:
    """Answer one request that the guard let in (or, without a guard, that passes here)."""
    try:
        answer = _answer(_admission(webhook_id, token))
    except RequestError as error:
        answer = answers.rejected(error)
    response = Response(answer.body, answer.status)
    for name, value in answer.all_headers:
        response.headers[name] = value
    return response


def _answer(admission: Admission) -> Answer:
    inbound = InboundRequest(
        method=request.method,
        query_string=request.query_string.decode("ascii", "replace"),
        headers=tuple(request.headers.items()),
        # Not flask's own reader: it gives nothing for a chunked body, which has no Content-Length.
        body=request.environ["wsgi.input"].read(),
        source_ip=admission.head.source_ip,
        received_at=utc_now(),
    )
    return door().receive(admission, inbound)


def _admission(webhook_id: str, token: str) -> Admission:
    if token == TOKEN_MASK and (admission := ADMISSION.get()) is not None:
        return admission
    head = RequestHead(
        method=request.method,
        webhook_id=webhook_id,
        token=token,
        content_length=request.headers.get("Content-Length", ""),
        source_ip=source_address(
            request.remote_addr or "", request.headers.getlist("X-Forwarded-For"), door().proxies
        ),
    )
    return door().admit(head)
