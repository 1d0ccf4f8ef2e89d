"""Rounds of random inputs of each kind, until time is up; a finding is reduced to a small input."""

from __future__ import annotations

import argparse
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis.errors import Flaky
from hypothesis.strategies import SearchStrategy

from tests.fuzz.trial import Bounds, Trial, tried

EXAMPLES = 25
"""Inputs of one kind in a round."""

QUICK_SEED = 0
REDUCE_SECONDS = 30.0
"""Of the clock, for making a finding smaller."""

MAX_SHOWN_CHARS = 4_000


@dataclass(frozen=True)
class Kind:
    """Inputs, and what is done with each; an error that is expected of a wrong input is not raised."""

    inputs: SearchStrategy[Any]
    target: Callable[[Any], None]


@dataclass(frozen=True)
class Finding:
    """The smallest input that was found to break a bound, or to raise an unforeseen error."""

    kind: str
    seed: int
    value: Any
    trial: Trial

    def __str__(self) -> str:
        shown = repr(self.value)
        if len(shown) > MAX_SHOWN_CHARS:
            shown = f"{shown[:MAX_SHOWN_CHARS]}… ({len(shown):,} characters)"
        return f"FOUND in {self.kind}, SEED={self.seed}: {self.trial.problem}\n  input: {shown}"


@dataclass
class Tally:
    """What the inputs of a kind took at most."""

    inputs: int = 0
    cpu_seconds: float = 0.0
    memory_bytes: int = 0

    def count(self, trial: Trial) -> None:
        """Add one."""
        self.inputs += 1
        self.cpu_seconds = max(self.cpu_seconds, trial.cpu_seconds)
        self.memory_bytes = max(self.memory_bytes, trial.memory_bytes)

    def __str__(self) -> str:
        return (
            f"{self.inputs:,} inputs, at most {self.cpu_seconds:.2f} s of processor time "
            f"and {self.memory_bytes / 2**20:,.0f} MB"
        )


class _Found(Exception):
    """Shows Hypothesis that an input is a finding."""


@dataclass
class _Search:
    """One round of a kind."""

    kind: Kind
    bounds: Bounds
    tally: Tally
    smallest: tuple[Any, Trial] | None = None
    give_up_at: float = field(default=float("inf"))

    def check(self, value: Any) -> None:
        """Try an input; after a finding, for a bounded time, what Hypothesis proposes as a smaller one."""
        if time.monotonic() > self.give_up_at:
            return
        trial = tried(self.kind.target, value, self.bounds)
        self.tally.count(trial)
        if not trial.problem:
            return
        if self.smallest is None:
            self.give_up_at = time.monotonic() + REDUCE_SECONDS
        # Hypothesis repeats the smallest at the end; it may also try larger ones in between.
        if self.smallest is None or len(repr(value)) <= len(repr(self.smallest[0])):
            self.smallest = value, trial
        raise _Found


def search(
    kind: Kind, name: str, *, number: int, examples: int, bounds: Bounds, tally: Tally
) -> Finding | None:
    """One round with this seed; returns the smallest finding."""
    made = _Search(kind, bounds, tally)

    @seed(number)
    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        derandomize=False,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
        print_blob=False,
        verbosity=Verbosity.quiet,
    )
    @given(kind.inputs)
    def run(value: Any) -> None:
        made.check(value)

    try:
        run()
    except (_Found, Flaky):
        assert made.smallest is not None
        return Finding(name, number, *made.smallest)
    return None


def campaign(
    kinds: Mapping[str, Kind],
    *,
    first_seed: int,
    seconds: float | None,
    bounds: Bounds,
    examples: int = EXAMPLES,
) -> list[Finding]:
    """Rounds with consecutive seeds, one alone where no time is given; a kind ends with its first finding."""
    end = time.monotonic() + (seconds or 0)
    tallies, findings = {name: Tally() for name in kinds}, dict[str, Finding]()
    number = first_seed
    while True:
        for name in [name for name in kinds if name not in findings]:
            finding = search(
                kinds[name], name, number=number, examples=examples, bounds=bounds, tally=tallies[name]
            )
            if finding is not None:
                findings[name] = finding
                print(finding, flush=True)
            if seconds is not None and time.monotonic() > end:
                break
        number += 1
        if time.monotonic() > end or len(findings) == len(kinds):
            break
    for name, tally in tallies.items():
        print(f"{name}: {tally}")
    return list(findings.values())


def main(kinds: Mapping[str, Kind], arguments: Sequence[str] | None = None) -> int:
    """The command; returns 1 where anything was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--seconds", type=float, default=60.0, help="time in all (60)")
    parser.add_argument("--seed", type=int, help="repeats the rounds from this seed on; a random one else")
    parser.add_argument("--only", action="append", choices=[*kinds], help="these kinds alone")
    parser.add_argument("--quick", action="store_true", help="one round of each kind, the same one each time")
    parser.add_argument("--cpu-seconds", type=float, default=Bounds.cpu_seconds, help="of one input (1)")
    parser.add_argument(
        "--clock-seconds", type=float, default=Bounds.clock_seconds, help="until one input must end (20)"
    )
    options = parser.parse_args(arguments)
    number = options.seed if options.seed is not None else secrets.randbelow(2**32)
    if options.quick:
        number = QUICK_SEED
    print(f"SEED={number}", flush=True)
    chosen = {name: kind for name, kind in kinds.items() if name in (options.only or kinds)}
    findings = campaign(
        chosen,
        first_seed=number,
        seconds=None if options.quick else options.seconds,
        bounds=Bounds(cpu_seconds=options.cpu_seconds, clock_seconds=options.clock_seconds),
    )
    return 1 if findings else 0
