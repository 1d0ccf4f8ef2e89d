"""Requests as bytes, for the scenarios."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tests.recording.scenario import BASE, Scenario, Step, token_of, webhook_id_of

JSON = ("Content-Type", "application/json")
Headers = Iterable[tuple[str, str]]


def path_of(webhook_id: str, token: str) -> bytes:
    return BASE + f"/{webhook_id}/{token}".encode()


def request(
    path: bytes, *, method: str = "POST", query: str = "", headers: Headers = (JSON,), body: bytes = b""
) -> bytes:
    """One request that asks the server to close after its response; header values are Latin-1."""
    headers = [(name, value) for name, value in headers if name.lower() != "content-length"]
    names = {name.lower() for name, _ in headers}
    lines = [f"{name}: {value}".encode("latin-1") for name, value in headers]
    if "host" not in names:
        lines.insert(0, b"Host: hooks.example.com")
    if body or method == "POST":
        lines.append(b"Content-Length: %d" % len(body))
    target = path + (f"?{query}".encode("latin-1") if query else b"")
    first = b"%s %s HTTP/1.1" % (method.encode(), target)
    return b"\r\n".join([first, *lines, b"Connection: close", b"", b""]) + body


def step_of(name: str, *, method: str = "POST", path: bytes | None = None, **more: Any) -> Step:
    """A request to the webhook of the scenario with this name."""
    seconds, pause = more.pop("after_seconds", 0), more.pop("pause", None)
    path = path_of(webhook_id_of(name), token_of(name)) if path is None else path
    sent = request(path, method=method, **more)
    parts = [sent] if pause is None else [pause, sent]
    return Step(parts=parts, method=method, after_seconds=seconds)


def single(name: str, webhook: Mapping[str, Any] | None = None, **more: Any) -> Scenario:
    """One request to a webhook."""
    return Scenario(name=name, webhook=hook(**webhook or {}), steps=[step_of(name, **more)])


def several(name: str, webhook: Mapping[str, Any], *steps: Mapping[str, Any]) -> Scenario:
    """Requests one after the other, and changes of the webhook between them ({"change": {...}})."""
    return Scenario(
        name=name,
        webhook=hook(**webhook),
        steps=[
            Step(change=step["change"], after_seconds=step.get("after_seconds", 0))
            if "change" in step
            else step_of(name, **step)
            for step in steps
        ],
    )


def hook(**fields: Any) -> dict[str, Any]:
    """The fields of a webhook's definition; its DAG takes anything."""
    return {"dag_id": "anything", **fields}
