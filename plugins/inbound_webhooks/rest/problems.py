"""How what goes wrong is told: as Airflow's own API does it, without what was sent."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.responses import Response
from starlette.routing import Match, Route

from inbound_webhooks.errors import (
    ConfigurationError,
    DefinitionError,
    DeliveryNotFound,
    InvalidDefinition,
    NotPermitted,
    NotReplayable,
    Problem,
    Unavailable,
    WebhookChanged,
    WebhookError,
    WebhookExists,
    WebhookNotFound,
)
from inbound_webhooks.records.renamed import renamed
from inbound_webhooks.rest.responses import ErrorResponse, InvalidRequest

STATUS: dict[type[WebhookError], int] = {
    WebhookNotFound: 404,
    DeliveryNotFound: 404,
    NotPermitted: 403,
    WebhookExists: 409,
    WebhookChanged: 409,
    NotReplayable: 409,
    DefinitionError: 422,
    ConfigurationError: 503,
    Unavailable: 503,
}
"""The status of an error, by the first of its classes that is here."""

_DESCRIPTIONS = {
    400: "The request cannot be read.",
    401: "Nobody is logged in.",
    403: "The user may not do this.",
    404: "There is none, or the user may not see its DAG.",
    409: "It clashes with what is there.",
    503: "The database or a setting stands in the way; try again.",
}


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For a route: what else than its own answer it may give, beside what every route may."""
    every = (401, 403, 503, *statuses)
    told: dict[int | str, dict[str, Any]] = {
        status: {"model": ErrorResponse, "description": _DESCRIPTIONS[status]} for status in every
    }
    return told | {422: {"model": InvalidRequest, "description": "Something in the request cannot be used."}}


def install_error_handlers(app: FastAPI) -> None:
    """Let an application answer our errors, and those of its own checks, in these words."""
    app.add_exception_handler(WebhookError, _told)
    app.add_exception_handler(RequestValidationError, _mistaken)
    app.add_exception_handler(405, _not_allowed)


def _told(_request: Request, error: Exception) -> Response:
    if not isinstance(error, WebhookError):
        raise error
    status = next((STATUS[made] for made in type(error).__mro__ if made in STATUS), 500)
    headers = {"Retry-After": str(error.retry_after_seconds)} if isinstance(error, Unavailable) else None
    detail: Any = error.message
    if isinstance(error, InvalidDefinition):
        detail = [invalid_part(error.problem)]
    return _reply(status, detail, headers)


def invalid_part(problem: Problem) -> dict[str, Any]:
    """A problem of one field in the shape of FastAPI's own."""
    steps = [step for step in ("body", problem.field, problem.part) if step]
    return {"type": "value_error", "loc": steps, "msg": problem.message}


def _mistaken(_request: Request, error: Exception) -> Response:
    """Where something is wrong and why; FastAPI's own answer repeats the input, secrets included."""
    if not isinstance(error, RequestValidationError):
        raise error
    return _reply(422, [_problem(**found) for found in error.errors()])


def _problem(*, type: str, loc: Sequence[str | int], msg: str, **_: Any) -> dict[str, Any]:
    return {
        "type": type,
        "loc": loc,
        "msg": renamed(str(loc[-1])) or msg if type == "extra_forbidden" else msg,
    }


def _not_allowed(request: Request, _error: Exception) -> Response:
    """With all methods of the path; Starlette names those of the first route that has it."""
    routes = [route for route in request.app.routes if isinstance(route, Route)]
    found = [route.methods or set() for route in routes if route.matches(request.scope)[0] != Match.NONE]
    allowed = sorted(set().union(*found) - {"HEAD"})
    return _reply(405, "Method Not Allowed", {"Allow": ", ".join(allowed)})


def _reply(status: int, detail: Any, headers: Mapping[str, str] | None = None) -> Response:
    # Half of a surrogate pair in a key has no bytes of UTF-8: in ASCII it is an escape.
    content = json.dumps({"detail": detail}).encode("ascii")
    return Response(content, status, headers, media_type="application/json")
