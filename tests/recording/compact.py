"""Observations in few bytes: of each row only what is not typical of its kind."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from tests.recording.changes import ABSENT

Row = dict[str, Any]
Typical = Mapping[str, Row]

ROWS = ("responses", "deliveries", "dispatched", "runs", "rejections")
"""Parts of an observation that are lists of rows; those of responses are one list for each connection."""


def typical_of(observations: Iterable[Mapping[str, Any]]) -> dict[str, Row]:
    """For each kind of row the columns that most rows have, with their most frequent values."""
    counted: dict[str, dict[str, Counter[str]]] = {kind: defaultdict(Counter) for kind in ROWS}
    totals: Counter[str] = Counter()
    for observation in observations:
        for kind in ROWS:
            for row in _rows(kind, observation[kind]):
                totals[kind] += bool(row)
                for column, value in row.items():
                    counted[kind][column][json.dumps(value)] += 1
    return {
        kind: {
            column: json.loads(values.most_common(1)[0][0])
            for column, values in sorted(columns.items())
            if values.total() > totals[kind] / 2
        }
        for kind, columns in counted.items()
    }


def shorten(observation: Mapping[str, Any], typical: Typical) -> dict[str, Any]:
    """Without what is typical; an empty part is left out."""
    made = {}
    for part, value in observation.items():
        shorter = _each(part, value, lambda row, part=part: _less(row, typical[part]))
        if shorter not in ([], {}):
            made[part] = shorter
    return made


def lengthen(shortened: Mapping[str, Any], typical: Typical) -> dict[str, Any]:
    """The observation again."""
    return {
        part: _each(part, value, lambda row, part=part: _more(row, typical[part]))
        for part, value in shortened.items()
    }


def _less(row: Row, typical: Row) -> Row | None:
    """None for an empty row, which differs from every typical one."""
    if not row:
        return None
    different = {name: value for name, value in row.items() if name not in typical or typical[name] != value}
    return different | {name: ABSENT for name in typical if name not in row}


def _more(row: Row | None, typical: Row) -> Row:
    if row is None:
        return {}
    return {name: value for name, value in (typical | row).items() if value != ABSENT}


def _each(part: str, value: Any, of_row: Any) -> Any:
    if part not in ROWS:
        return value
    if part == "responses":
        return [[of_row(row) for row in of_step] for of_step in value]
    return [of_row(row) for row in value]


def _rows(kind: str, value: Any) -> Iterable[Row]:
    return (row for of_step in value for row in of_step) if kind == "responses" else value
