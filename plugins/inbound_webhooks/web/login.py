"""Who is calling: the login that the user already has in Airflow, and no second one.

The Flask application that serves plugins does not know it; Airflow's token comes along as a cookie, or as a
bearer token where the auth manager puts one in.
"""

from __future__ import annotations

import asyncio
from typing import Any

from airflow.api_fastapi.auth.managers.base_auth_manager import COOKIE_NAME_JWT_TOKEN
from flask import g, request
from jwt import InvalidTokenError

from inbound_webhooks.webhooks.access import Access, auth_manager


def log_in() -> Access | None:
    """What the caller may do, None for somebody who is not logged in; also for the rest of the request."""
    user = _user()
    g.user = g._login_user = user
    g.webhooks_access = None if user is None else Access(user)
    return current()


def current() -> Access | None:
    """What :func:`log_in` found for this request."""
    access: Access | None = g.webhooks_access
    return access


def login_url() -> str:
    """Where Airflow asks for a name and a password."""
    return str(auth_manager().get_url_login())


def _user() -> Any:
    token = _token()
    if not token:
        return None
    try:
        return asyncio.run(auth_manager().get_user_from_token(token))
    except InvalidTokenError:
        return None


def _token() -> str | None:
    """The one that Airflow's own interface would take: an explicit one before the cookie's."""
    kind, _, explicit = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() == "bearer" and explicit:
        # Under SimpleAuthManager each request gets one of its own behind what the client sent.
        return explicit.rpartition("Bearer ")[2].strip()
    return request.cookies.get(COOKIE_NAME_JWT_TOKEN)
