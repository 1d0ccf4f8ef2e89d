"""What one request ran: functions, modules, and switches between modules.

A function is a module and a qualified name: lambdas, properties, generators and comprehensions count as well.
A switch is a call, or the resumption of a coroutine or generator, in another module than the one before it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from benchmarks.path_recorder import CALL, RESUME

Function = tuple[str, str]
"""Module and qualified name."""


@dataclass(frozen=True)
class Event:
    """A call, resumption, yield or return."""

    thread: int
    kind: str
    function: Function


@dataclass(frozen=True)
class RequestTrace:
    """The events of one request, of all threads in the order in which they happened."""

    events: tuple[Event, ...]

    @classmethod
    def load(cls, recorded: Mapping[str, Any]) -> RequestTrace:
        """From what :mod:`benchmarks.path_recorder` writes."""
        functions: list[Function] = [(module, name) for module, name in recorded["functions"]]
        return cls(tuple(Event(thread, kind, functions[at]) for thread, kind, at in recorded["events"]))

    @property
    def calls(self) -> Counter[Function]:
        """How often each function was called, in the order of the first calls."""
        return Counter(event.function for event in self.events if event.kind == CALL)

    @property
    def modules(self) -> set[str]:
        """The modules of the functions."""
        return {module for module, _ in self.calls}

    @property
    def switches(self) -> int:
        """How often what ran next was in another module."""
        ran = [event.function[0] for event in self.events if event.kind in (CALL, RESUME)]
        return sum(before != after for before, after in pairwise(ran))

    @property
    def threads(self) -> int:
        """How many threads took part."""
        return len({event.thread for event in self.events})


def usual(traces: Sequence[RequestTrace]) -> tuple[RequestTrace, int]:
    """A trace with the most frequent figures, and how many have them; periodic work is in the others."""
    figures = [(frozenset(trace.calls.items()), trace.switches) for trace in traces]
    most_frequent, number = Counter(figures).most_common(1)[0]
    return traces[figures.index(most_frequent)], number


def listing(trace: RequestTrace) -> str:
    """Each function in the order of the first calls; then every call below its caller."""
    functions = [f"{number:4} × {module}:{name}" for (module, name), number in trace.calls.items()]
    return "\n".join(["Functions", *functions, "", "Calls", *_call_lines(trace), ""])


def _call_lines(trace: RequestTrace) -> Iterator[str]:
    numbers: dict[int, int] = {}
    depths: Counter[int] = Counter()
    for event in trace.events:
        thread = numbers.setdefault(event.thread, len(numbers) + 1)
        if event.kind not in (CALL, RESUME):
            depths[thread] -= 1
            continue
        if event.kind == CALL:
            module, name = event.function
            yield f"thread {thread} {'  ' * depths[thread]}{module}:{name}"
        depths[thread] += 1
