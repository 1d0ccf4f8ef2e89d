"""Error responses in the format of Airflow's REST API, without the request's input."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import Response
from starlette.routing import Match, Route

from inbound_webhooks.errors import (
    AlreadyClaimed,
    ConfigurationError,
    DefinitionError,
    DeliveryNotFound,
    InvalidDefinition,
    NotPermitted,
    NotReplayable,
    Problem,
    ReplayJobNotFound,
    ReplayJobRefused,
    SearchTooLong,
    TooManyTrials,
    Unavailable,
    WaitNotFound,
    WaitNotResumable,
    WebhookChanged,
    WebhookError,
    WebhookExists,
    WebhookNotFound,
)
from inbound_webhooks.records.renamed import renamed
from inbound_webhooks.rest.responses import ErrorResponse, InvalidRequest
from inbound_webhooks.storage.database import translated

STATUS: dict[type[WebhookError], int] = {
    WebhookNotFound: 404,
    DeliveryNotFound: 404,
    NotPermitted: 403,
    WebhookExists: 409,
    WebhookChanged: 409,
    NotReplayable: 409,
    ReplayJobNotFound: 404,
    WaitNotFound: 404,
    WaitNotResumable: 409,
    ReplayJobRefused: 409,
    AlreadyClaimed: 409,
    SearchTooLong: 422,
    TooManyTrials: 429,
    DefinitionError: 422,
    ConfigurationError: 503,
    Unavailable: 503,
}
"""Error class -> HTTP status; the most specific class counts."""

REFUSED_SECONDS = 1.0
"""How long the 429 of a preview or back-test waits."""

_DESCRIPTIONS = {
    400: "The request is malformed.",
    401: "No user is logged in.",
    403: "The user does not have permission.",
    404: "It does not exist, or the user may not see its DAG.",
    409: "It conflicts with the current state.",
    429: "Too many previews, back-tests or searches are running. Try again later.",
    503: "The database is unavailable, or a setting is invalid. Try again later.",
}


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The error responses of a route: those of every route, and the given statuses."""
    every = (401, 403, 503, *statuses)
    documents: dict[int | str, dict[str, Any]] = {
        status: {"model": ErrorResponse, "description": _DESCRIPTIONS[status]} for status in every
    }
    return documents | {422: {"model": InvalidRequest, "description": "A part of the request is invalid."}}


def install_error_handlers(app: FastAPI) -> None:
    """Handle the package's errors, and FastAPI's validation errors, in an application."""
    app.add_exception_handler(WebhookError, _handle_webhook_error)
    app.add_exception_handler(TooManyTrials, _handle_too_many_trials)
    app.add_exception_handler(SQLAlchemyError, _handle_database_error)
    app.add_exception_handler(RequestValidationError, _handle_validation_error)
    app.add_exception_handler(405, _handle_method_not_allowed)


def _handle_webhook_error(_request: Request, error: Exception) -> Response:
    if not isinstance(error, WebhookError):
        raise error
    status = next((STATUS[cls] for cls in type(error).__mro__ if cls in STATUS), 500)
    headers = None
    if isinstance(error, Unavailable | TooManyTrials):
        headers = {"Retry-After": str(error.retry_after_seconds)}
    detail: Any = error.message
    if isinstance(error, InvalidDefinition):
        detail = [invalid_part(error.problem)]
    return _reply(status, detail, headers)


async def _handle_too_many_trials(request: Request, error: Exception) -> Response:
    """Respond after a moment, which takes no thread: clients that repeat it at once would take them all."""
    await asyncio.sleep(REFUSED_SECONDS)
    return _handle_webhook_error(request, error)


def _handle_database_error(request: Request, error: Exception) -> Response:
    """Of Airflow's own queries; ours are translated where they run."""
    if not isinstance(error, SQLAlchemyError):
        raise error
    return _handle_webhook_error(request, translated(error))


def invalid_part(problem: Problem) -> dict[str, Any]:
    """A problem of one field in the format of FastAPI's validation errors."""
    steps = [step for step in ("body", problem.field, problem.part) if step]
    return {"type": "value_error", "loc": steps, "msg": problem.message}


def _handle_validation_error(_request: Request, error: Exception) -> Response:
    """Unlike FastAPI's own handler, do not echo the input: it may contain secrets."""
    if not isinstance(error, RequestValidationError):
        raise error
    return _reply(422, [_problem(**found) for found in error.errors()])


def _problem(*, type: str, loc: Sequence[str | int], msg: str, **_: Any) -> dict[str, Any]:
    return {
        "type": type,
        "loc": loc,
        "msg": renamed(str(loc[-1])) or msg if type == "extra_forbidden" else msg,
    }


def _handle_method_not_allowed(request: Request, _error: Exception) -> Response:
    """Allow all methods of the path; Starlette lists only those of the first matching route."""
    routes = [route for route in request.app.routes if isinstance(route, Route)]
    found = [route.methods or set() for route in routes if route.matches(request.scope)[0] != Match.NONE]
    allowed = sorted(set().union(*found) - {"HEAD"})
    return _reply(405, "Method Not Allowed", {"Allow": ", ".join(allowed)})


def _reply(status: int, detail: Any, headers: Mapping[str, str] | None = None) -> Response:
    # ASCII, because a lone surrogate in a key cannot be encoded as UTF-8, but can be escaped.
    content = json.dumps({"detail": detail}).encode("ascii")
    return Response(content, status, headers, media_type="application/json")
