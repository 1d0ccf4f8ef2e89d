"""Which deliveries a search or a replay job means; pages, REST API and commands read the same pairs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any

from inbound_webhooks.errors import InvalidDefinition
from inbound_webhooks.event.sizes import EVENT_TYPE_CHARS
from inbound_webhooks.records.delivery import State
from inbound_webhooks.records.webhook_fields import DAG_ID_CHARS, WEBHOOK_NAME_CHARS

TEXT_CHARS = 200
"""Longest text to look for in bodies."""

ID_CHARS = 32
SHORTEST_ID_CHARS = 8
"""Characters of a delivery's id that are enough: those of its time, to 65 seconds."""

_RUN_PREFIX = "webhook__"
_CHILD_NUMBER = re.compile(r"(?<=[0-9a-f])__[0-9]{1,9}$")
_ID = re.compile(rf"[0-9a-f]{{{SHORTEST_ID_CHARS},{ID_CHARS}}}")


@dataclass(frozen=True, kw_only=True)
class DeliveryFilter:
    """All conditions hold together; an empty one admits every delivery.

    ``webhook`` is an id or a name, ``id`` the beginning of a delivery's id, ``text`` a part of the body.
    ``since`` is included, ``until`` is not.
    """

    webhook: str = ""
    dag_id: str = ""
    states: tuple[str, ...] = ()
    event_type: str = ""
    since: datetime | None = None
    until: datetime | None = None
    id: str = ""
    text: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether it admits every delivery."""
        return self == DeliveryFilter()

    def pairs(self) -> list[tuple[str, str]]:
        """The conditions as :func:`parse` reads them."""
        single = {
            "webhook": self.webhook,
            "dag": self.dag_id,
            "event": self.event_type,
            "from": _iso(self.since),
            "to": _iso(self.until),
            "id": self.id,
            "text": self.text,
        }
        return [*(("state", state) for state in self.states), *((k, v) for k, v in single.items() if v)]


def parse(pairs: Iterable[tuple[str, str]]) -> DeliveryFilter:
    """Read conditions such as ``("state", "failed")``; ``state`` may be repeated, empty values are ignored.

    :raises InvalidDefinition: there is no such condition, or its value is malformed
    """
    found = DeliveryFilter()
    for name, value in pairs:
        text = value.strip() if name != "text" else value
        if name not in _READERS:
            raise InvalidDefinition(name, f"There is no such condition. Known are {', '.join(CONDITIONS)}.")
        if not text:
            continue
        if "\x00" in text:
            raise InvalidDefinition(name, "It contains a NUL character.")
        found = replace(found, **_READERS[name](name, text, found))
    return found


def _text(field: str, most: int) -> Callable[[str, str, DeliveryFilter], dict[str, Any]]:
    def read(name: str, text: str, _: DeliveryFilter) -> dict[str, Any]:
        if len(text) > most:
            raise InvalidDefinition(name, f"It has more than {most} characters.")
        return {field: text}

    return read


def _state(name: str, text: str, found: DeliveryFilter) -> dict[str, Any]:
    if text not in State.ALL:
        raise InvalidDefinition(name, f"{text!r} is none of {', '.join(State.ALL)}.")
    return {"states": found.states if text in found.states else (*found.states, text)}


def _moment(field: str) -> Callable[[str, str, DeliveryFilter], dict[str, Any]]:
    def read(name: str, text: str, _: DeliveryFilter) -> dict[str, Any]:
        try:
            # Python 3.10 does not know the Z.
            moment = datetime.fromisoformat(re.sub(r"[zZ]$", "+00:00", text))
            moment = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
            moment.timestamp()
        except (ValueError, OverflowError):
            raise InvalidDefinition(name, f"{text!r} is not a time such as 2026-01-31T08:00.") from None
        if moment.year < 1970:
            raise InvalidDefinition(name, "It is before 1970.")
        return {field: moment}

    return read


def _id(name: str, text: str, _: DeliveryFilter) -> dict[str, Any]:
    # As it stands in a URL, it may have hyphens. The run of a child has its parent's id and a number, that of
    # a batch the id of its first delivery.
    if text.startswith(_RUN_PREFIX):
        text = _CHILD_NUMBER.sub("", text)
    short = text.removeprefix(_RUN_PREFIX).removeprefix("batch_").replace("-", "").lower()
    if not _ID.fullmatch(short):
        raise InvalidDefinition(
            name,
            f"It is neither a delivery's id, nor the first {SHORTEST_ID_CHARS} or more of its characters, "
            f"nor a run id such as {_RUN_PREFIX}….",
        )
    return {"id": short}


_READERS: dict[str, Callable[[str, str, DeliveryFilter], dict[str, Any]]] = {
    "webhook": _text("webhook", WEBHOOK_NAME_CHARS),
    "dag": _text("dag_id", DAG_ID_CHARS),
    "state": _state,
    "event": _text("event_type", EVENT_TYPE_CHARS),
    "from": _moment("since"),
    "to": _moment("until"),
    "id": _id,
    "text": _text("text", TEXT_CHARS),
}
CONDITIONS = tuple(_READERS)
"""Names of the conditions."""


def _iso(moment: datetime | None) -> str:
    return "" if moment is None else moment.isoformat()
