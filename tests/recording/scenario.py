"""What is sent, as data: a webhook, and the requests that its sender makes, byte by byte."""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

DATA = Path(__file__).with_name("data")
SCENARIOS = DATA / "scenarios.jsonl"
DAGS = DATA / "dags.json"

BASE = b"@BASE@"
"""Stands for the path in front of webhook ids, which the two endpoints do not share."""

DEFAULT_NOW = 1_772_368_200
"""2026-03-01 12:30 UTC: the time of a request unless its signature asks for another."""

LONG_PART_BYTES = 1_500

Part = bytes | float | None
"""Bytes to send, seconds to wait, or None for the end of what the client sends."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One connection with its requests, or a change of the webhook (``change``) between two of them."""

    parts: Sequence[Part] = ()
    gateway_parts: Sequence[Part] | None = None
    """Other bytes for the gateway, where a length depends on the path in front of the id."""
    responses: int = 1
    """How many responses are waited for."""
    method: str = "POST"
    after_seconds: float = 0
    """How far the clock has moved on since the start of the scenario."""
    change: Mapping[str, Any] | None = None

    def parts_for(self, endpoint: str, base: str) -> list[Part]:
        parts = self.gateway_parts if endpoint == "gateway" and self.gateway_parts is not None else self.parts
        return [part.replace(BASE, base.encode()) if isinstance(part, bytes) else part for part in parts]

    def to_json(self) -> dict[str, Any]:
        made: dict[str, Any] = {}
        if self.change is not None:
            made["change"] = self.change
        else:
            made["send"] = [_part_to_json(part) for part in self.parts]
        if self.gateway_parts is not None:
            made["send_gateway"] = [_part_to_json(part) for part in self.gateway_parts]
        for name, default in (("responses", 1), ("method", "POST"), ("after_seconds", 0)):
            if getattr(self, name) != default:
                made[name] = getattr(self, name)
        return made

    @classmethod
    def from_json(cls, made: Mapping[str, Any]) -> Step:
        gateway = made.get("send_gateway")
        return cls(
            parts=[_part_from_json(part) for part in made.get("send", ())],
            gateway_parts=None if gateway is None else [_part_from_json(part) for part in gateway],
            responses=made.get("responses", 1),
            method=made.get("method", "POST"),
            after_seconds=made.get("after_seconds", 0),
            change=made.get("change"),
        )


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A webhook and what happens to it, in order; ``webhook`` holds the fields of its definition."""

    name: str
    webhook: Mapping[str, Any] = field(default_factory=dict)
    steps: Sequence[Step] = ()
    now: float = DEFAULT_NOW
    webhook_id: str = ""
    """Given only where a sender signed the URL."""
    webhook_token: str = ""

    @property
    def id(self) -> str:
        return self.webhook_id or webhook_id_of(self.name)

    @property
    def token(self) -> str:
        return self.webhook_token or token_of(self.name)

    @property
    def requests(self) -> int:
        return sum(step.responses for step in self.steps if step.change is None)

    def to_json(self) -> dict[str, Any]:
        made: dict[str, Any] = {"name": self.name, "webhook": self.webhook}
        for name, default in (("now", DEFAULT_NOW), ("webhook_id", ""), ("webhook_token", "")):
            if getattr(self, name) != default:
                made[name] = getattr(self, name)
        return made | {"steps": [step.to_json() for step in self.steps]}

    @classmethod
    def from_json(cls, made: Mapping[str, Any]) -> Scenario:
        return cls(**{**made, "steps": [Step.from_json(step) for step in made["steps"]]})


def webhook_id_of(name: str) -> str:
    """Ten URL-safe characters, the same for the same name; the first is no dash."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(name.encode()).digest())
    return "w" + digest[:9].decode()


def token_of(name: str) -> str:
    return hashlib.sha256(f"token of {name}".encode()).hexdigest()


def load() -> list[Scenario]:
    with SCENARIOS.open(encoding="utf-8") as lines:
        return [Scenario.from_json(json.loads(line)) for line in lines]


def save(scenarios: Sequence[Scenario]) -> None:
    _check(scenarios)
    with SCENARIOS.open("w", encoding="utf-8", newline="\n") as file:
        for scenario in scenarios:
            file.write(dump(scenario.to_json()) + "\n")


def dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _check(scenarios: Sequence[Scenario]) -> None:
    for attribute in ("name", "id"):
        seen: set[str] = set()
        for value in (getattr(scenario, attribute) for scenario in scenarios):
            if value in seen:
                raise ValueError(f"two scenarios have the {attribute} {value!r}")
            seen.add(value)


def _part_to_json(part: Part) -> Any:
    if not isinstance(part, bytes):
        return part
    if len(part) > LONG_PART_BYTES:
        return {"zlib": base64.b64encode(zlib.compress(part, 9)).decode()}
    try:
        return part.decode("utf-8")
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(part).decode()}


def _part_from_json(part: Any) -> Part:
    if isinstance(part, str):
        return part.encode("utf-8")
    if isinstance(part, Mapping):
        ((encoding, text),) = part.items()
        raw = base64.b64decode(text)
        return zlib.decompress(raw) if encoding == "zlib" else raw
    return part


def every(scenarios: Sequence[Scenario], step: int) -> Iterator[Scenario]:
    """Each n-th scenario: a subset that has something of everything."""
    yield from scenarios[::step]
