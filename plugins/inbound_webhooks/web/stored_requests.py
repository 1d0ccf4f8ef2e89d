"""Stored requests in readable form: bodies as text, and the paths that expressions can name."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from inbound_webhooks.deliveries.stored_request import content_of, headers_of
from inbound_webhooks.errors import BodyMalformed, RequestError
from inbound_webhooks.event.body import Body
from inbound_webhooks.event.charsets import of_typed_text
from inbound_webhooks.event.multidict import MultiDict, parse_query
from inbound_webhooks.event.truncation import truncate
from inbound_webhooks.records.delivery import Delivery
from inbound_webhooks.web.json_tree import step

MAX_SHOWN_CHARS = 200_000
MAX_FIELDS = 300
MAX_DEPTH = 6
MAX_PREVIEW_CHARS = 60
MAX_LIST_ITEMS = 1


@dataclass(frozen=True)
class ShownBody:
    """A body as readable text; ``note`` says how it differs from the stored bytes.

    ``raw`` is the text as it came; empty if it is no text.
    """

    text: str
    note: str
    stored_bytes: int
    raw: str = ""


def shown_body(delivery: Delivery, limit_bytes: int) -> ShownBody:
    """The body: JSON is indented, a very long text is cut."""
    size = len(delivery.body)
    try:
        content = content_of(delivery, limit_bytes)
    except RequestError as error:
        return ShownBody("", error.message, size)
    content_type = content_type_of(delivery)
    text, note = _readable(content, content_type)
    try:
        raw = content.decode(of_typed_text(content_type))[:MAX_SHOWN_CHARS]
    except UnicodeDecodeError:
        raw = ""
    if len(text) > MAX_SHOWN_CHARS:
        note = f"Only the first {MAX_SHOWN_CHARS:,} characters are shown."
    return ShownBody(text[:MAX_SHOWN_CHARS], note, size, raw)


def _readable(content: bytes, content_type: str) -> tuple[str, str]:
    body = Body(content, content_type)
    if body.is_json:
        try:
            return json.dumps(body.value, indent=2, ensure_ascii=False), ""
        except BodyMalformed:
            text = content.decode("utf-8", "replace")
            return text, "The body is not JSON, despite its content type."
    try:
        return body.text if body.is_text else content.decode("utf-8"), ""
    except BodyMalformed as error:
        return b64encode(content).decode(), f"{error.message} It is shown as Base64."
    except UnicodeDecodeError:
        return body.text, "The body is not text; it is shown as Base64."


def fields_of(delivery: Delivery, limit_bytes: int) -> list[dict[str, str]]:
    """The paths that expressions can name: ``source`` is the path, ``value`` the start of its value."""
    try:
        query = parse_query(delivery.query_string)
    except RequestError:
        query = []
    found = [
        {"source": f"{source}{step(name)}", "value": _preview(value)}
        for source, pairs in (("Query", query), ("Headers", headers_of(delivery)))
        for name, value in pairs
    ]
    try:
        body = Body(content_of(delivery, limit_bytes), content_type_of(delivery))
        properties = body.properties
    except RequestError:
        return found[:MAX_FIELDS]
    if isinstance(properties, MultiDict):
        properties = {name: values[0] for name, values in properties.lists.items()}
    paths = [{"source": f"Body{path}", "value": _preview(value)} for path, value in _paths(properties, "", 0)]
    return (paths + found)[:MAX_FIELDS]


def _paths(value: Any, path: str, depth: int) -> Iterator[tuple[str, Any]]:
    if path:
        yield path, value
    if depth >= MAX_DEPTH:
        return
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _paths(item, f"{path}{step(name)}", depth + 1)
    elif isinstance(value, list):
        for index, item in enumerate(value[:MAX_LIST_ITEMS]):
            yield from _paths(item, f"{path}[{index}]", depth + 1)


def _preview(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return truncate(text, MAX_PREVIEW_CHARS)


def content_type_of(delivery: Delivery) -> str:
    """The Content-Type of a stored request, or ""."""
    return next((value for name, value in headers_of(delivery) if name.lower() == "content-type"), "")


def parse_headers(text: str) -> Sequence[tuple[str, str]]:
    """Parse ``Name: value`` lines; lines without a colon are ignored."""
    pairs = (line.partition(":") for line in text.splitlines() if ":" in line)
    return [(name.strip(), value.strip()) for name, _, value in pairs if name.strip()]
