"""Figures and how they are written: never nicer than they came."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table; ``met`` is None where there is no goal."""

    measured: str
    ours: str
    airflow: str = ""
    ratio: str = ""
    goal: str = ""
    met: bool | None = None

    @property
    def cells(self) -> tuple[str, ...]:
        """The columns as text."""
        verdict = {None: "", True: ": met", False: ": **missed**"}[self.met]
        return (self.measured, self.ours, self.airflow, self.ratio, self.goal + verdict)


def rate(rates: Sequence[float]) -> str:
    """Median, with the slowest and the fastest round."""
    middle, low, high = (math.floor(value) for value in (statistics.median(rates), min(rates), max(rates)))
    return f"{middle:,}" if len(rates) == 1 else f"{middle:,} ({low:,}–{high:,})"


def milliseconds(seconds: float) -> str:
    """With one decimal, upwards."""
    return f"{math.ceil(seconds * 10_000) / 10:.1f} ms"


def ratio(value: float) -> str:
    """With two decimals, downwards."""
    return f"{math.floor(value * 100) / 100:.2f}"


def ratio_upwards(value: float) -> str:
    """With two decimals, upwards: where less is better."""
    return f"{math.ceil(value * 100) / 100:.2f}"


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that so many percent of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def latencies(values: Sequence[float]) -> str:
    """p50 and p99."""
    return f"p50 {milliseconds(percentile(values, 50))}, p99 {milliseconds(percentile(values, 99))}"
