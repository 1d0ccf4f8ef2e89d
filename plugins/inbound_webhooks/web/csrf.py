"""What the page of a refused form says: which header the proxy in front of Airflow has to pass on, if any."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import current_app, request
from flask_wtf.csrf import CSRFError


def explanation(error: CSRFError) -> tuple[str, str]:
    """Title and text of the page.

    Flask-WTF compares Referer with Host where the request came over https, by the server's own TLS or by
    X-Forwarded-Proto; it has checked the form's token before, which needs the session cookie.
    """
    if error.description == "The referrer header is missing.":
        return _PROXY, _REFERER_MISSING
    if error.description == "The referrer does not match the host.":
        return _PROXY, _mismatch()
    if current_app.config["SESSION_COOKIE_NAME"] not in request.cookies:
        return _INVALID, _COOKIE_MISSING
    return _INVALID, f"Reload the page and submit the form again. ({error.description})"


def _mismatch() -> str:
    opened = urlsplit(request.referrer or "")
    if opened.scheme == "http" and opened.netloc.lower() == request.host.lower():
        return (
            "The page was opened over http, but the proxy in front of Airflow sends X-Forwarded-Proto: "
            "https; configure it to send the scheme that the browser uses (nginx: proxy_set_header "
            "X-Forwarded-Proto $scheme)."
        )
    header, variable = _origin_of_host(opened.hostname)
    return (
        f"The page was opened at {opened.netloc}, but the proxy in front of Airflow sends a {header} header "
        f"that makes it {request.host}; configure it to pass on what the browser uses (nginx: "
        f"proxy_set_header {header} {variable})."
    )


def _origin_of_host(opened_host: str | None) -> tuple[str, str]:
    """The header that decides about ``request.host``, and nginx's variable for it.

    With ``[fab] enable_proxy_fix`` werkzeug's ProxyFix replaces it by X-Forwarded-Host and its port by
    X-Forwarded-Port.
    """
    if "werkzeug.proxy_fix.orig" in request.environ:
        is_only_port = request.host.rpartition(":")[0] == opened_host
        if "X-Forwarded-Port" in request.headers and is_only_port:
            return "X-Forwarded-Port", "$server_port"
        if "X-Forwarded-Host" in request.headers:
            return "X-Forwarded-Host", "$http_host"
    return "Host", "$http_host"


_INVALID = "This form is no longer valid"
_PROXY = "The proxy in front of Airflow needs another setting"

_REFERER_MISSING = (
    "The form arrived without a Referer header; configure the proxy in front of Airflow to pass on the "
    "browser's Referer header, and to send no Referrer-Policy that makes browsers leave it out, such as "
    "no-referrer."
)
_COOKIE_MISSING = (
    "The browser sent no session cookie. Reload the page and submit the form again; if that does not help, "
    "set [api] base_url to the address, with its path, at which browsers open Airflow, and configure the "
    "proxy to pass on the Cookie and Set-Cookie headers."
)
