"""The differences between two JSON objects, for imports and back-tests."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

ABSENT = object()
"""The value of a field on the side that lacks it."""


@dataclass(frozen=True)
class Difference:
    """One differing value; ``field`` is its path, such as ``conf.webhook.body.ref``."""

    field: str
    before: Any = ABSENT
    after: Any = ABSENT


def differences(before: Mapping[str, Any], after: Mapping[str, Any], path: str = "") -> Iterator[Difference]:
    """The differing values in the order of ``after``; objects on both sides are compared key by key."""
    for name in [*after, *(name for name in before if name not in after)]:
        old, new, field = before.get(name, ABSENT), after.get(name, ABSENT), f"{path}{name}"
        if isinstance(old, dict) and isinstance(new, dict):
            yield from differences(old, new, f"{field}.")
        elif old is ABSENT or new is ABSENT or _as_json(old) != _as_json(new):
            yield Difference(field, old, new)


def _as_json(value: Any) -> str:
    # In Python 1 equals True and 1.0; in JSON they are different values.
    return json.dumps(value, sort_keys=True)
