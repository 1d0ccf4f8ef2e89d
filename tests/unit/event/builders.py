"""Requests and what is computed from them, made by tests of the pure part."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from inbound_webhooks.event.conf.mapping import compile_mapping
from inbound_webhooks.event.conf.parameter import Parameter
from inbound_webhooks.event.data_sources import DataSources
from inbound_webhooks.event.expressions.engine import compile_expression
from inbound_webhooks.event.request import InboundRequest

PAYLOADS = Path(__file__).parents[2] / "payloads"

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"


def request(
    body: Any = b"", content_type: str = JSON, *, query: str = "", headers: tuple[tuple[str, str], ...] = ()
) -> InboundRequest:
    """A POST; a body that is not bytes is sent as its JSON."""
    return InboundRequest(
        method="POST",
        query_string=query,
        headers=(("Content-Type", content_type), *headers) if content_type else headers,
        body=body if isinstance(body, bytes) else json.dumps(body).encode(),
        source_ip="203.0.113.7",
        received_at=datetime(2026, 3, 1, 12, 30, tzinfo=timezone.utc),
    )


def payload(name: str) -> InboundRequest:
    """A real sender's request, such as ``github/push__new_branch``."""
    lines = (PAYLOADS / f"{name}.headers").read_text().splitlines()
    pairs = [line.split(": ", 1) for line in lines]
    return request((PAYLOADS / f"{name}.body").read_bytes(), "", headers=tuple((n, v) for n, v in pairs))


def sources_of(made: InboundRequest) -> DataSources:
    """The data sources of a request that is not compressed."""
    return DataSources(made, made.body, delivery_id="0190", webhook="orders")


def sources(*args: Any, **kwargs: Any) -> DataSources:
    """The data sources of :func:`request`."""
    return sources_of(request(*args, **kwargs))


def evaluate(source: str, *args: Any, **kwargs: Any) -> Any:
    """The value of an expression over :func:`request`."""
    return compile_expression(source).evaluate(sources(*args, **kwargs))


def conf_of(mapping: dict[str, str], made: DataSources, **schemas: dict[str, Any]) -> dict[str, Any]:
    """The conf of a mapping for a DAG whose params have these schemas, ``default`` included."""
    params = {name: parameter(name, schema) for name, schema in schemas.items()}
    return compile_mapping(mapping).conf(made, params)


def parameter(name: str, schema: dict[str, Any]) -> Parameter:
    """A DAG's param; the schema's ``default`` is its default."""
    rest = {key: value for key, value in schema.items() if key != "default"}
    return Parameter(name, rest, schema["default"]) if "default" in schema else Parameter(name, rest)
