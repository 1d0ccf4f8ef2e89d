"""The base of all pages: login and permissions, security headers, error pages, database sessions."""

from __future__ import annotations

import json
from typing import Any

from airflow import settings as airflow_settings
from flask import Blueprint, Response, flash, g, make_response, redirect, render_template, request, url_for
from flask.blueprints import BlueprintSetupState
from flask_appbuilder import BaseView
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import HTTPException

from inbound_webhooks import __version__
from inbound_webhooks.errors import (
    ConfigurationError,
    DatabaseUnavailable,
    DefinitionError,
    DeliveryNotFound,
    NotPermitted,
    NotReplayable,
    ReplayJobNotFound,
    ReplayJobRefused,
    SearchTooLong,
    TooManyListeners,
    TooManyTrials,
    WaitNotFound,
    WaitNotResumable,
    WebhookChanged,
    WebhookError,
    WebhookNotFound,
)
from inbound_webhooks.monitoring.clock import utc_now
from inbound_webhooks.monitoring.log_lines import get_logger
from inbound_webhooks.settings import BLUEPRINT_PREFIX, Settings
from inbound_webhooks.storage.database import translated
from inbound_webhooks.web import csrf, login, way_back
from inbound_webhooks.web.formatting import FILTERS
from inbound_webhooks.webhooks.access import ACTIONS, VIEW, Access
from inbound_webhooks.webhooks.roles import create_permissions

log = get_logger(__name__)

ROOT = "/webhooks"
"""Path of the pages below Airflow's prefix for plugins."""

SAFETY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
SESSION = {
    # With Flask's default name and path, this cookie would replace the session of FAB's own login.
    "SESSION_COOKIE_NAME": "webhooks_session",
    "SESSION_COOKIE_HTTPONLY": True,
    "SESSION_COOKIE_SAMESITE": "Lax",
    # A form may stay open for hours; its token expires with the session.
    "WTF_CSRF_TIME_LIMIT": None,
}
STATUS: dict[type[WebhookError], int] = {
    WebhookNotFound: 404,
    DeliveryNotFound: 404,
    NotPermitted: 403,
    WebhookChanged: 409,
    NotReplayable: 409,
    ReplayJobNotFound: 404,
    WaitNotFound: 404,
    WaitNotResumable: 409,
    ReplayJobRefused: 409,
    SearchTooLong: 422,
    TooManyTrials: 429,
    TooManyListeners: 429,
    DefinitionError: 422,
    DatabaseUnavailable: 503,
    ConfigurationError: 503,
}
"""Error -> status of its page; any other error is a 500. Problems of a field appear in the form instead."""

assets = Blueprint(
    "inbound_webhooks_assets",
    __name__,
    static_folder="static",
    static_url_path=f"{ROOT}/static",
    template_folder="templates",
)
"""Style sheet, scripts and icons. They need no login, because they contain no data."""


@assets.record_once
def _configure(state: BlueprintSetupState) -> None:
    path = (state.app.config.get("SESSION_COOKIE_PATH") or "/").rstrip("/") + BLUEPRINT_PREFIX
    state.app.config.update(SESSION, SESSION_COOKIE_PATH=path)
    state.app.jinja_env.filters.update(FILTERS)


@assets.after_request
def _keep_assets_inert(response: Response) -> Response:
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


class Page(BaseView):
    """A view whose routes all require the permission to read webhooks."""

    route_base = ROOT
    class_permission_name = VIEW
    base_permissions = list(ACTIONS)

    def create_blueprint(self, appbuilder: Any, endpoint: Any = None, static_folder: Any = None) -> Blueprint:
        """FAB's blueprint, with the checks, headers and error pages of this module."""
        create_permissions(appbuilder.sm, grant_plugins=_grants_plugins())
        blueprint: Blueprint = super().create_blueprint(appbuilder, endpoint, static_folder)
        way_back.answer_reloads(self, blueprint)
        blueprint.before_request(_require_permission)
        blueprint.after_request(_protect)
        blueprint.teardown_request(_end_session)
        blueprint.register_error_handler(CSRFError, _csrf_failed)
        blueprint.register_error_handler(HTTPException, _http_failed)
        # FAB's application has a handler for this one, which would come first.
        blueprint.register_error_handler(404, _http_failed)
        blueprint.register_error_handler(Exception, _failed)
        return blueprint

    def access(self) -> Access:
        """The caller's permissions. Not a property: FAB reads every attribute when it creates the view."""
        access = login.current()
        if access is None:
            raise NotPermitted
        return access

    def show(self, template: str, status: int = 200, **values: Any) -> Response:
        """Render a template as a page for the current user."""
        return render_page(template, status, access=self.access(), **values)


def _grants_plugins() -> bool:
    # An unusable setting must not keep Airflow from starting; log, health and pages name it.
    try:
        return Settings.load().grant_plugins_permission
    except ConfigurationError:
        return False


def render_page(template: str, status: int = 200, **values: Any) -> Response:
    """Render a template as a page; Jinja escapes all values, which may come from senders."""
    return make_response(
        render_template(
            f"inbound_webhooks/{template}", asset=_asset, airflow_url=airflow_url, now=utc_now, **values
        ),
        status,
    )


def fragment(
    template: str, *, toast: str = "", undo: dict[str, Any] | None = None, **values: Any
) -> Response:
    """Part of a page for htmx, with a message (see ``static/toasts.js``).

    :param undo: ``url``, ``values`` and ``target`` of the request that reverts the change
    """
    response = render_page(template, **values)
    if toast:
        response.headers["HX-Trigger"] = _toast(toast, "good", undo)
    return response


def _toast(text: str, tone: str, undo: dict[str, Any] | None = None, login: str | None = None) -> str:
    # A header is Latin-1 without line breaks; json.dumps escapes both.
    return json.dumps({"toast": {"text": text, "tone": tone, "undo": undo, "login": login}})


def redirected(url: str) -> Response:
    """Redirect after a change, so that a reload of the page does not repeat it."""
    return make_response(redirect(url, 303))


def json_reply(document: Any, status: int = 200) -> Response:
    """A JSON document for the scripts of the pages."""
    return Response(json.dumps(document), status, mimetype="application/json")


def wants_json() -> bool:
    """Whether a script of the pages sent the request, not a plain form."""
    return request.headers.get("X-Requested-With") == "fetch"


def wants_fragment() -> bool:
    """Whether htmx sent the request and replaces part of the page with the response."""
    return request.headers.get("HX-Request") == "true"


def airflow_url(path: str) -> str:
    """The URL of a page of Airflow's own interface."""
    root = request.script_root
    return f"{root.removesuffix(BLUEPRINT_PREFIX)}/{path.lstrip('/')}"


def _asset(name: str) -> str:
    return url_for("inbound_webhooks_assets.static", filename=name, v=__version__)


def _require_permission() -> Response | None:
    access = login.log_in()
    if access is None:
        return _message(401, "You are not logged in", "Log in to Airflow, then come back to this page.")
    if not access.may_view("GET"):
        raise NotPermitted("Your role may not see webhooks. Ask an administrator for can_read on Webhooks.")
    return None


def _protect(response: Response) -> Response:
    response.headers.update(SAFETY_HEADERS)
    return response


def _end_session(_error: BaseException | None) -> None:
    # Airflow's auth managers read with the thread's scoped session. FAB's application removes it, others do
    # not, and the connection would stay in its transaction.
    airflow_settings.Session.remove()


def _csrf_failed(error: CSRFError) -> Response:
    g.setdefault("webhooks_access", None)
    if g.webhooks_access is None:
        login.log_in()
    title, text = csrf.explanation(error)
    return _message(400, title, text)


def _http_failed(error: HTTPException) -> Response:
    title = "Page not found" if error.code == 404 else error.name
    return _message(error.code or 500, title, error.description or "")


def _failed(error: Exception) -> Response:
    if isinstance(error, SQLAlchemyError):  # of Airflow's own queries
        error = translated(error)
    if not isinstance(error, WebhookError):
        # The error's text could quote a request, so only its class and traceback are logged.
        kind = type(error).__name__
        without_text = (Exception, Exception(kind), error.__traceback__)
        log.error("page failed action=page_failed kind=%s", kind, exc_info=without_text)
        return _message(500, "Internal error", "See the log of Airflow's api-server.")
    status = next((code for kind, code in STATUS.items() if isinstance(error, kind)), 500)
    title = _UNUSABLE if isinstance(error, ConfigurationError) else _TITLES.get(status, "The request failed")
    response = _message(status, title, error.message)
    if isinstance(error, (TooManyTrials, TooManyListeners)):
        response.headers["Retry-After"] = str(error.retry_after_seconds)
    return response


_PASSING = (429, 500, 503)
"""Statuses for which the same request may succeed later."""

_UNUSABLE = "Airflow's configuration has to be corrected"
_TITLES = {
    403: "Permission denied",
    404: "Not found",
    409: "The change was rejected",
    429: "Too many previews, back-tests or searches are running",
    503: "The database is unavailable",
}


def _login_url(status: int) -> str | None:
    return login.login_url(way_back.shown_page()) if status == 401 else None


def _message(status: int, title: str, text: str) -> Response:
    if wants_fragment():
        response = Response(
            status=status, headers={"HX-Trigger": _toast(text or title, "bad", login=_login_url(status))}
        )
    elif wants_json():
        response = json_reply({"error": text or title}, status)
    elif way_back.page_of_form() and g.get("webhooks_access") is not None:
        # The form's own page, with what was typed into it where the browser keeps that.
        flash(text or title, "bad")
        response = redirected(way_back.page_of_form())
    else:
        response = render_page(
            "message.html",
            status,
            title=title,
            text=text,
            login_url=_login_url(status),
            back=way_back.previous_page(),
            again=request.url if request.method == "GET" and status in _PASSING else None,
            access=None,
        )
    # A blueprint's after_request does not run for responses of application-wide checks such as CSRF.
    return _protect(response)
