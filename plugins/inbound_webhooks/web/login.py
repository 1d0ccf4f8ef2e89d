"""Identifies the user by the existing login to Airflow; the pages have no login of their own.

The Flask application that serves plugins does not read it. Airflow's token arrives as a cookie, or as a
bearer token if the auth manager adds one.
"""

from __future__ import annotations

import asyncio
from typing import Any

from airflow.api_fastapi.auth.managers.base_auth_manager import COOKIE_NAME_JWT_TOKEN
from flask import g, request
from jwt import InvalidTokenError

from inbound_webhooks.webhooks.access import Access, auth_manager


def log_in() -> Access | None:
    """Load the user and their permissions for this request; None without a valid login."""
    user = _user()
    g.user = g._login_user = user
    g.webhooks_access = None if user is None else Access(user)
    return current()


def current() -> Access | None:
    """The result of :func:`log_in` for this request."""
    access: Access | None = g.webhooks_access
    return access


def login_url(next_url: str) -> str:
    """The URL of Airflow's login page, which leads on to another one."""
    return str(auth_manager().get_url_login(next_url=next_url))


def _user() -> Any:
    token = _token()
    if not token:
        return None
    try:
        return asyncio.run(auth_manager().get_user_from_token(token))
    except InvalidTokenError:
        return None


def _token() -> str | None:
    """The token that Airflow's own interface would use: the header takes precedence over the cookie."""
    kind, _, explicit = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() == "bearer" and explicit:
        # SimpleAuthManager appends its own token to the header that the client sent.
        return explicit.rpartition("Bearer ")[2].strip()
    return request.cookies.get(COOKIE_NAME_JWT_TOKEN)
