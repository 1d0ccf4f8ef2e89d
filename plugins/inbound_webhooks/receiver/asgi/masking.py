"""Keeps tokens out of what access logs and error messages read from a request's scope."""

from __future__ import annotations

import re

from inbound_webhooks.receiver.asgi.messages import Scope

TOKEN_MASK = "***"  # noqa: S105

TOKEN_LIKE = re.compile(r"[0-9a-fA-F]{32,}")
_TOKEN = re.compile(r"[0-9a-fA-F]{64,}")


def mask_tokens(scope: Scope) -> None:
    """Replace what looks like a token in the path and query of any other request."""
    pattern = TOKEN_LIKE if "webhook" in scope["path"].lower() else _TOKEN
    if pattern.search(scope["path"]):
        masked = pattern.sub(TOKEN_MASK, scope["path"])
        scope["path"], scope["raw_path"] = masked, masked.encode("utf-8", "surrogateescape")
    query = scope["query_string"].decode("latin-1")
    if _TOKEN.search(query):
        scope["query_string"] = _TOKEN.sub(TOKEN_MASK, query).encode("latin-1")
