"""What became of a scenario, without anything that differs from one time to the next."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from tests.recording.wire import Reply

LONG_TEXT_CHARS = 300
SHOWN_CHARS = 60

IGNORED_HEADERS = {"date", "server"}

DISPATCHED_AT = datetime(2031, 1, 1, tzinfo=timezone.utc)
"""The time of the dispatcher's pass: later than every request."""

NEAR_DISPATCH = timedelta(days=30)

RUN_COLUMNS = (
    "dag_id", "run_id", "run_type", "conf", "note", "state", "triggered_by", "triggering_user_name",
    "logical_date", "run_after", "queued_at", "start_date", "end_date", "bundle_version",
)  # fmt: skip

Row = Mapping[str, Any]


class Normaliser:
    """Writes values of one scenario: its deliveries are numbered, its times counted from its start."""

    def __init__(self, now: float, webhook_name: str, delivery_ids: Sequence[str]) -> None:
        self._now = datetime.fromtimestamp(now, timezone.utc)
        self._names = {id_: f"<delivery {number}>" for number, id_ in enumerate(delivery_ids, 1)}
        self._names[webhook_name] = "<webhook>"

    def reply(self, reply: Reply) -> dict[str, Any]:
        """Status, body, and each header under its name; one that is there twice as both values.

        Of a right Content-Length the number is left out, so that a body may be reworded. The api-server
        compresses for clients that ask for it, and the bytes that it makes depend on the delivery's id.
        """
        is_packed = ("content-encoding", "gzip") in reply.headers
        body = gzip.decompress(reply.body) if is_packed and reply.body else reply.body
        made: dict[str, Any] = {"status": reply.status, "body": self.value(body)}
        for name, value in sorted(reply.headers):
            key = f"header {name}"
            if name == "content-length" and value == str(len(reply.body)):
                value = "that of the body"
            if name not in IGNORED_HEADERS:
                made[key] = f"{made[key]} // {value}" if key in made else value
        return made

    def row(self, row: Row, *without: str) -> dict[str, Any]:
        """The columns that hold something."""
        return {
            name: self.value(value)
            for name, value in sorted(row.items())
            if value is not None and name not in without
        }

    def value(self, value: Any) -> Any:
        if isinstance(value, datetime):
            return self._time(value)
        if isinstance(value, bytes):
            return self._bytes(value)
        if isinstance(value, str):
            return _shortened(self._named(value))
        if isinstance(value, (dict, list)):
            return _shortened(self._named(json.dumps(value, ensure_ascii=True, separators=(",", ":"))))
        return value

    def _named(self, text: str) -> str:
        for id_, name in self._names.items():
            text = text.replace(id_, name)
        return text

    def _bytes(self, value: bytes) -> str:
        try:
            return _shortened(self._named(value.decode("utf-8")))
        except UnicodeDecodeError:
            return f"sha256 {hashlib.sha256(value).hexdigest()}, {len(value)} bytes"

    def _time(self, value: datetime) -> str:
        moment = value if value.tzinfo else value.replace(tzinfo=timezone.utc)
        since_dispatch = moment - DISPATCHED_AT
        if abs(since_dispatch) < NEAR_DISPATCH:
            return f"dispatch{since_dispatch.total_seconds():+g}s"
        return f"start{(moment - self._now).total_seconds():+g}s"


def changed_columns(before: Row, after: Row) -> dict[str, Any]:
    """The columns that differ, None written as such: the dispatcher clears some."""
    return {name: value for name, value in after.items() if before.get(name) != value}


def flat(value: Any, path: str = "") -> dict[str, Any]:
    """Nested objects and lists as one mapping of paths; empty ones are left out."""
    if isinstance(value, Mapping):
        items = value.items()
    elif isinstance(value, list):
        items = ((str(number), it) for number, it in enumerate(value))
    else:
        return {path: value}
    made: dict[str, Any] = {}
    for name, it in items:
        made |= flat(it, f"{path}.{name}" if path else name)
    return made


def _shortened(text: str) -> str:
    """A long text by its beginning, length and hash."""
    text = text.encode("utf-8", "backslashreplace").decode()
    if len(text) <= LONG_TEXT_CHARS:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f"{text[:SHOWN_CHARS]}… ({len(text)} characters, sha256 {digest})"
