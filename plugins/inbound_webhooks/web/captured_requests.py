"""What a webhook's page shows of the requests that it has captured while a user listens."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from inbound_webhooks.errors import RequestError
from inbound_webhooks.event.charsets import of_typed_text
from inbound_webhooks.event.content_encoding import inflate
from inbound_webhooks.monitoring.clock import utc_now
from inbound_webhooks.receiver.instance import get_receiver
from inbound_webhooks.records.captured import Captured
from inbound_webhooks.records.webhook import Webhook
from inbound_webhooks.storage.captured import find_captured, list_captured
from inbound_webhooks.storage.database import transaction
from inbound_webhooks.web.json_tree import TreeNode, request_tree
from inbound_webhooks.webhooks import listening


def values(webhook: Webhook, wanted: int | None = None) -> dict[str, Any]:
    """What ``listener.html`` shows: the captured requests, and the tree of one of them.

    :param wanted: the id of that one; by default the newest
    """
    settings = get_receiver().settings
    since = utc_now() - timedelta(seconds=settings.listening_seconds)
    with transaction() as connection:
        found = list_captured(connection, webhook.id, since=since)
        chosen = wanted or (found[0].id if found else 0)
        shown = find_captured(connection, webhook.id, chosen, since=since) if chosen else None
    return {
        "listens": listening.is_listening(webhook, utc_now()),
        "captured": found,
        "shown": shown,
        "tree": [] if shown is None else _tree(shown, settings.max_captured_bytes),
        "shown_request": None if shown is None else _request(shown, settings.max_captured_bytes),
        "max_bytes": settings.max_captured_bytes,
    }


def _tree(captured: Captured, limit_bytes: int) -> list[TreeNode]:
    return request_tree(_content(captured, limit_bytes), _headers(captured), captured.query_string)


def _request(captured: Captured, limit_bytes: int) -> str | None:
    """The fields of *Try it* as JSON, for a preview of this request; None where its body is no text."""
    content = _content(captured, limit_bytes)
    encoded = ("content-encoding", "content-length")
    headers = [pair for pair in _headers(captured) if pair[0].lower() not in encoded]
    content_type = next((value for name, value in headers if name.lower() == "content-type"), "")
    try:
        body = None if content is None else content.decode(of_typed_text(content_type))
    except UnicodeDecodeError:
        return None
    # As JSON.stringify writes it, so that a script can compare.
    fields = {
        "method": captured.method,
        "query": captured.query_string,
        "headers": "\n".join(f"{name}: {value}" for name, value in headers),
        "body": body,
    }
    return None if body is None else json.dumps(fields, ensure_ascii=False, separators=(",", ":"))


def _headers(captured: Captured) -> list[tuple[str, str]]:
    return [(name, value) for name, value in json.loads(captured.headers)]


def _content(captured: Captured, limit_bytes: int) -> bytes | None:
    """The body without its encoding; None where it is not kept, or cannot be decoded."""
    encoding = ", ".join(value for name, value in _headers(captured) if name.lower() == "content-encoding")
    if captured.body is None or not encoding:
        return captured.body
    try:
        return inflate(captured.body, encoding, limit_bytes=limit_bytes)
    except RequestError:
        return None
