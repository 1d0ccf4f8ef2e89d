"""Refuses changes that a page of another site makes a browser send with the user's cookie (CSRF).

A page of another site can send a POST with the cookie, but no Authorization header and no JSON content type
without a CORS preflight. The cookie's SameSite attribute does not tell apart origins of one site, such as
two ports of a host or two of its subdomains.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from airflow.api_fastapi.auth.managers.base_auth_manager import COOKIE_NAME_JWT_TOKEN
from airflow.configuration import conf
from fastapi import HTTPException, Request

from inbound_webhooks.receiver.client_address import trusted_proxies
from inbound_webhooks.settings import Settings, airflow_url

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_PORTS = {"http": 80, "https": 443}

Origin = tuple[str, str, int | None]
"""Scheme, host and port."""


def require_same_origin(request: Request) -> None:
    """A dependency of every route: with the cookie, a change needs a JSON content type and Airflow's origin.

    :raises HTTPException: 403 that says which of them is missing
    """
    if request.method in SAFE_METHODS or _has_own_authorization(request):
        return
    named = _is_named_same_origin(request)
    if COOKIE_NAME_JWT_TOKEN in request.cookies:
        if not named:
            raise HTTPException(403, _FOREIGN if named is False else _UNNAMED)
        if not _is_json(request.headers.get("Content-Type", "")):
            raise HTTPException(403, _NOT_JSON)
    # Without cookie and header there is no user; or Airflow makes every request one of an administrator.
    elif named is False:
        raise HTTPException(403, _FOREIGN)


def _has_own_authorization(request: Request) -> bool:
    """Whether the client itself sent a token, which no page of another site can make a browser do.

    Basic does not count: browsers repeat it by themselves.
    """
    tokens = [value for value in request.headers.getlist("Authorization") if value[:7].lower() == "bearer "]
    # Airflow appends an administrator's token to each request.
    appended = conf.getboolean("core", "simple_auth_manager_all_admins", fallback=False)
    return len(tokens) > int(appended)


def _is_named_same_origin(request: Request) -> bool | None:
    """Whether a request names Airflow's own origin as the one of the page that sent it; None: it names none.

    https://cheatsheetseries.owasp.org/cheatsheets/Cross-Site_Request_Forgery_Prevention_Cheat_Sheet.html
    """
    headers = request.headers
    if "Origin" in headers:
        return _is_own(headers["Origin"], request)
    if "Sec-Fetch-Site" in headers:
        return headers["Sec-Fetch-Site"] == "same-origin"
    if "Referer" in headers:
        return _is_own(headers["Referer"], request)
    return None


def _is_own(url: str, request: Request) -> bool:
    origin = _origin(url)
    return origin is not None and origin in _own_origins(request)


def _own_origins(request: Request) -> Iterator[Origin | None]:
    """Origins at which browsers may see this Airflow: the configured one, and those of this request."""
    yield _origin(airflow_url())
    for host in _hosts(request):
        yield _origin(f"{request.url.scheme}://{host}")
        # A proxy that terminates TLS may not say so, and a page over https is not weaker than one over http.
        yield _origin(f"https://{host}")


def _hosts(request: Request) -> Iterator[str]:
    # A page cannot choose the Host of a request, nor X-Forwarded-Host without a preflight.
    yield request.headers.get("Host", "")
    forwarded = request.headers.getlist("X-Forwarded-Host")
    if forwarded and request.client is not None:
        proxies = trusted_proxies(Settings.load())
        if proxies.allowed and proxies.admits(request.client.host):
            yield forwarded[-1].rpartition(",")[2].strip()


def _origin(url: str) -> Origin | None:
    """The origin of a URL; None if it has none, as the ``null`` of a sandboxed page."""
    try:
        parts = urlsplit(url)
        if parts.scheme not in _PORTS or not parts.hostname:
            return None
        return parts.scheme, parts.hostname, parts.port or _PORTS[parts.scheme]
    except ValueError:
        return None


def _is_json(content_type: str) -> bool:
    media_type = content_type.partition(";")[0].strip().lower()
    return media_type == "application/json" or media_type.endswith("+json")


_FOREIGN = (
    "The request comes from a page of another origin. If it is Airflow's own, set [api] base_url to the "
    "address at which browsers open Airflow."
)
_UNNAMED = (
    "A change with Airflow's cookie needs an Origin header. Programs send an Authorization header instead."
)
_NOT_JSON = "A change with Airflow's cookie needs the header Content-Type: application/json."
