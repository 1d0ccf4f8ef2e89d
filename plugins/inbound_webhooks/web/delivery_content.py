"""The texts of a delivery as its page shows them: request, response and conf, each as a tree and as text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from inbound_webhooks.deliveries.sent_response import SentResponse
from inbound_webhooks.deliveries.stored_request import headers_of
from inbound_webhooks.records.delivery import Delivery
from inbound_webhooks.web import stored_requests
from inbound_webhooks.web.formatting import pretty
from inbound_webhooks.web.json_tree import TreeNode, delivery_tree, value_tree
from inbound_webhooks.web.stored_requests import MAX_SHOWN_CHARS

EXTENSIONS = (("json", "json"), ("xml", "xml"), ("text/", "txt"), ("x-www-form-urlencoded", "txt"))
"""Part of a content type -> extension of the downloaded file."""


@dataclass(frozen=True, kw_only=True)
class Viewer:
    """A text in up to three views: ``tree``, ``text`` (readable) and ``raw`` (as it came)."""

    name: str
    label: str
    tree: Sequence[TreeNode] = ()
    text: str = ""
    raw: str = ""
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Contents:
    """The parts of a delivery that require the permission to read its DAG's runs."""

    request: Viewer
    head: str
    has_credentials: bool
    body_bytes: int | None
    conf: Viewer | None


def contents_of(delivery: Delivery, limit_bytes: int) -> Contents:
    """The contents of a delivery, with its credentials masked."""
    body = stored_requests.shown_body(delivery, limit_bytes)
    conf_word = "Conf" if delivery.wait_id is None else "Outcome"
    query = f"?{delivery.query_string}" if delivery.query_string else ""
    headers = (f"{name}: {value}" for name, value in headers_of(delivery))
    return Contents(
        request=Viewer(
            name="request",
            label="Body",
            tree=delivery_tree(delivery, limit_bytes),
            text=body.text,
            raw=body.raw,
            note=body.note,
        ),
        # The path of the URL has the token, so it is left out.
        head="\n".join((f"POST …{query}", *headers)),
        has_credentials=delivery.credentials is not None,
        body_bytes=len(delivery.body) if delivery.body_stored else None,
        conf=None if delivery.conf is None else _json_viewer("conf", conf_word, delivery.conf),
    )


def sent_viewer(sent: SentResponse) -> Viewer | None:
    """The body of a response; None where it is not known."""
    if sent.body is None:
        return None
    if sent.content_type.startswith("application/json") and not sent.note:
        return _json_viewer("response", "Response body", sent.body)
    return Viewer(name="response", label="Response body", text=sent.body)


def extension_of(delivery: Delivery) -> str:
    """The extension of a file with the body."""
    content_type = stored_requests.content_type_of(delivery).lower()
    return next((extension for part, extension in EXTENSIONS if part in content_type), "bin")


def _json_viewer(name: str, label: str, text: str) -> Viewer:
    try:
        value: Any = json.loads(text)
    except ValueError:
        return Viewer(name=name, label=label, text=text[:MAX_SHOWN_CHARS])
    shown = pretty(value)
    note = f"Only the first {MAX_SHOWN_CHARS:,} characters are shown." if len(shown) > MAX_SHOWN_CHARS else ""
    return Viewer(
        name=name, label=label, tree=value_tree(label, value), text=shown[:MAX_SHOWN_CHARS], note=note
    )
