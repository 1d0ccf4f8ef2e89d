"""When a run is to start, for which logical date, and with which note: computed with the conf, once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Protocol

import msgspec

from inbound_webhooks.errors import (
    ContentRefused,
    ExpressionFailed,
    InvalidDefinition,
    ScheduleRefused,
    TemplateRefused,
)
from inbound_webhooks.event.data_sources import DataSources
from inbound_webhooks.event.expressions.budget import CompileBudget, charging
from inbound_webhooks.event.expressions.engine import Expression, compile_expression
from inbound_webhooks.event.expressions.syntax import SOURCES, Sources
from inbound_webhooks.event.truncation import truncate
from inbound_webhooks.event.values import to_text

RECEIVED = "received"
"""The logical date that is the time of receipt."""

MAX_NOTE_CHARS = 1_000
"""As many as Airflow's own form takes."""

MAX_DELAY = timedelta(days=366)
MAX_VALUE_CHARS = 40

_YEARS = range(1970, 2200)
_MARKS = ("{{", "{%", "${")
"""One of them stands in every source that is more than a text."""


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """What a delivery says about its run; None for what each run has anyway."""

    logical_date: datetime | None = None
    run_after: datetime | None = None
    note: str | None = None


class ScheduleDefinition(Protocol):
    """The fields of a webhook that say so; documented in :mod:`records.webhook`."""

    @property
    def logical_date(self) -> str | None: ...
    @property
    def run_after(self) -> str | None: ...
    @property
    def note(self) -> str | None: ...


@dataclass(frozen=True)
class ScheduleRules:
    """The compiled fields; None where the definition has none."""

    logical_date: Expression | None
    run_after: Expression | None
    note: Expression | None

    @property
    def is_plain(self) -> bool:
        """Whether they compute nothing."""
        parts = (self.logical_date, self.run_after, self.note)
        return all(part is None or part.is_plain for part in parts)

    def schedule(self, sources: DataSources, received_at: datetime) -> Schedule:
        """The schedule of a request.

        :raises ScheduleRefused: a value is no time, or too far away
        :raises ContentRefused: an expression fails
        """
        with charging(sources.budget):
            return Schedule(
                logical_date=_value(self.logical_date, sources, received_at, _logical_date, "logical date"),
                run_after=_value(self.run_after, sources, received_at, _run_after, "run_after"),
                note=_note(self.note, sources),
            )


def compile_schedule(
    definition: ScheduleDefinition, budget: CompileBudget, sources: Sources = SOURCES
) -> ScheduleRules | None:
    """Compile the fields; None where the definition has none of them.

    :param sources: what the expressions may read
    :raises InvalidDefinition: one does not compile, or is a text that is no time
    """
    if definition.logical_date is None and definition.run_after is None and definition.note is None:
        return None
    compile_source = partial(compile_expression, budget=budget, sources=sources)
    return ScheduleRules(
        logical_date=_compiled("logical_date", definition.logical_date, compile_source, _logical_date),
        run_after=_compiled("run_after", definition.run_after, compile_source, _run_after),
        note=_compiled("note", definition.note, compile_source, None),
    )


Read = Callable[[str, datetime], datetime]
"""A text and the time of receipt -> the time that it means; raises ValueError with the reason."""


def _compiled(
    field: str, source: str | None, compile_source: Callable[[str], Expression], read: Read | None
) -> Expression | None:
    if source is None:
        return None
    try:
        if read is not None and not any(mark in source for mark in _MARKS):
            read(source.strip(), datetime(2026, 1, 1, tzinfo=timezone.utc))
        return compile_source(source)
    except TemplateRefused as error:
        raise InvalidDefinition(field, error.message) from None
    except ValueError as error:
        raise InvalidDefinition(field, str(error)) from None


def _value(
    expression: Expression | None, sources: DataSources, received_at: datetime, read: Read, name: str
) -> datetime | None:
    """The time that an expression yields; None where it yields nothing."""
    if expression is None:
        return None
    try:
        text = to_text(expression.evaluate(sources)).strip()
        return read(text, received_at) if text else None
    except ExpressionFailed as error:
        raise ScheduleRefused(name, error.message) from None
    except ValueError as error:
        raise ScheduleRefused(name, str(error)) from None


def _logical_date(text: str, received_at: datetime) -> datetime:
    return received_at if text == RECEIVED else _time(text, "received, or ")


def _run_after(text: str, received_at: datetime) -> datetime:
    try:
        delay = timedelta(seconds=float(text))
    except (ValueError, OverflowError):
        at = _time(text, "a number of seconds, or ")
    else:
        if not timedelta(0) <= delay <= MAX_DELAY:
            raise ValueError(f"the delay is not between 0 seconds and {MAX_DELAY.days} days")
        return received_at + delay
    if at > received_at + MAX_DELAY:
        raise ValueError(f"it is more than {MAX_DELAY.days} days away")
    return at


def _time(text: str, others: str) -> datetime:
    """A time in ISO 8601, in UTC unless it has an offset."""
    expected = f"it is not {others}a time such as 2026-03-01T12:00:00Z"
    if len(text) > MAX_VALUE_CHARS:
        raise ValueError(expected)
    try:
        # Python 3.10 does not know the Z.
        at = datetime.fromisoformat(text[:-1] + "+00:00" if text[-1] in "Zz" else text)
        at = at.replace(tzinfo=timezone.utc) if at.tzinfo is None else at.astimezone(timezone.utc)
    except (ValueError, OverflowError):
        raise ValueError(expected) from None
    if at.year not in _YEARS:
        raise ValueError(f"its year is not between {_YEARS[0]} and {_YEARS[-1]}")
    return at


def _note(expression: Expression | None, sources: DataSources) -> str | None:
    """The note; None where it fails: an event is not refused for want of a note."""
    if expression is None:
        return None
    try:
        text = to_text(expression.evaluate(sources))
    except ContentRefused:
        return None
    # PostgreSQL cannot store NUL, and no encoding has lone surrogates.
    text = text.replace("\0", "").encode("utf-8", "replace").decode()
    return truncate(text.strip(), MAX_NOTE_CHARS - 1) or None
