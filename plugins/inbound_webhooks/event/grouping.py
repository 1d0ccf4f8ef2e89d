"""Events that do not run at once and alone: batches, only the latest of a key, one at a time of a key."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from inbound_webhooks.errors import InvalidDefinition, TemplateRefused
from inbound_webhooks.event.data_sources import DataSources
from inbound_webhooks.event.expressions.budget import CompileBudget, charging
from inbound_webhooks.event.expressions.engine import (
    Condition,
    Expression,
    compile_condition,
    compile_expression,
)
from inbound_webhooks.event.expressions.syntax import SOURCES, Sources
from inbound_webhooks.event.sizes import QUEUE
from inbound_webhooks.event.values import Missing, to_json_value, to_json_value_at_all_levels, to_text

BATCHED, SETTLING, IN_TURN = "batched", "settling", "in_turn"
"""The first state of a delivery, in records too: one for each way of grouping."""

EVENTS = "events"
"""The param of a DAG that gets the confs of a batch, as a list."""

NO_KEY = hashlib.sha256(b"null").hexdigest()
"""The key of events without one, and of all events where no expression names keys."""


class GroupingDefinition(Protocol):
    """The fields of a webhook that say how its events are grouped; documented in :mod:`records.grouping`."""

    @property
    def batch_by(self) -> str | None: ...
    @property
    def batch_size(self) -> int | None: ...
    @property
    def batch_seconds(self) -> int | None: ...
    @property
    def latest_by(self) -> str | None: ...
    @property
    def quiet_seconds(self) -> int | None: ...
    @property
    def at_most_seconds(self) -> int | None: ...
    @property
    def one_at_a_time(self) -> str | None: ...
    @property
    def when_busy(self) -> str: ...
    @property
    def cancel_on(self) -> str | None: ...


def grouped_state(definition: GroupingDefinition) -> str:
    """The state in which the events of a webhook wait for each other; "" where they do not."""
    if definition.batch_size is not None:
        return BATCHED
    if definition.latest_by is not None:
        return SETTLING
    return "" if definition.one_at_a_time is None else IN_TURN


@dataclass(frozen=True)
class Grouping:
    """How the events of a webhook are grouped; ``state`` is the first one of their deliveries.

    Without ``key`` all events have the same one. ``cancel_on`` is true for events that start nothing.
    """

    state: str
    key: Expression | None
    cancel_on: Condition | None

    @property
    def is_batch(self) -> bool:
        """Whether a run gets the confs of several events."""
        return self.state == BATCHED

    @property
    def is_plain(self) -> bool:
        """Whether its expressions compute nothing."""
        return all(part is None or part.is_plain for part in (self.key, self.cancel_on))

    def key_of(self, sources: DataSources) -> str:
        """The key of an event, as SHA-256 in hex of its canonical JSON text.

        :raises ExpressionFailed: it cannot be computed
        """
        if self.key is None:
            return NO_KEY
        with charging(sources.budget):
            value = self.key.evaluate(sources)
            if isinstance(value, Missing):
                return NO_KEY
            # Charges for the value, and refuses one that is too large; what is written here is as long.
            to_text(value)
            value = to_json_value(to_json_value_at_all_levels(value))
            written = json.dumps(value, sort_keys=True, separators=(",", ":"))
            return hashlib.sha256(written.encode()).hexdigest()


def compile_grouping(
    definition: GroupingDefinition, budget: CompileBudget, sources: Sources = SOURCES
) -> Grouping | None:
    """Compile the expressions of a grouping; None where each event runs at once and alone.

    :param sources: what the expressions may read
    :raises InvalidDefinition: an expression does not compile, or a field needs, or excludes, another one
    """
    _check(definition)
    compile_source = partial(compile_expression, budget=budget, sources=sources)
    compile_truth = partial(compile_condition, budget=budget, sources=sources)
    keys = {
        name: _compiled(name, compile_source, getattr(definition, name))
        for name in ("batch_by", "latest_by", "one_at_a_time")
    }
    cancel_on = _compiled("cancel_on", compile_truth, definition.cancel_on)
    state = grouped_state(definition)
    if not state:
        return None
    return Grouping(state, keys[_KEYS[state]], cancel_on)


_KEYS = {BATCHED: "batch_by", SETTLING: "latest_by", IN_TURN: "one_at_a_time"}

_TOGETHER = (
    ("batch_by", ("batch_size", "batch_seconds")),
    ("batch_size", ("batch_seconds",)),
    ("batch_seconds", ("batch_size",)),
    ("latest_by", ("quiet_seconds", "at_most_seconds")),
    ("quiet_seconds", ("latest_by",)),
    ("at_most_seconds", ("latest_by",)),
    ("cancel_on", ("one_at_a_time",)),
)
"""Field -> the fields without which it has no meaning."""


def _check(definition: GroupingDefinition) -> None:
    for name, needed in _TOGETHER:
        if getattr(definition, name) is None:
            continue
        for other in needed:
            if getattr(definition, other) is None:
                raise InvalidDefinition(name, f"it needs {other} too")
    if definition.when_busy != QUEUE and definition.one_at_a_time is None:
        raise InvalidDefinition("when_busy", "it needs one_at_a_time too")
    modes = [name for name in ("batch_size", "latest_by", "one_at_a_time") if getattr(definition, name)]
    if len(modes) > 1:
        raise InvalidDefinition(modes[1], f"it cannot be combined with {modes[0]}")
    quiet, at_most = definition.quiet_seconds, definition.at_most_seconds
    if quiet is not None and at_most is not None and at_most < quiet:
        raise InvalidDefinition("at_most_seconds", f"it is less than quiet_seconds, {quiet}")


def _compiled(field: str, compile_source: Any, source: str | None) -> Any:
    if source is None:
        return None
    try:
        return compile_source(source)
    except TemplateRefused as error:
        raise InvalidDefinition(field, error.message) from None
