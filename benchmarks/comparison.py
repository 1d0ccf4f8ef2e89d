"""Figures of two commits: which belong together, and whether the later commit's are worse."""

from __future__ import annotations

import re
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

DIFFERENT_BY = 0.10
"""Of the earlier commit's median; less is no difference."""

LOWER_IS_BETTER = frozenset({"ms", "s", "MB"})
"""Units; a figure without one is a rate."""

RENAMED: dict[str, str] = {}
"""Parts, labels of rows and names of figures: the earlier commit's, and what they are called now."""

_NOT_COMPARED = re.compile(r"\bp99\b|\bdifference\b|^slowest of all\b")
"""Names of figures that few of the measured values decide, and so chance."""

_REQUESTS_SENT = re.compile(r"(?<=over )[\d,]+(?= requests)")
_FIGURE = re.compile(
    r"(?P<before>.*?)(?<![\w.,])(?P<number>\d[\d,]*(?:\.\d+)?)"
    r"(?: (?P<unit>ms|s|MB)\b)?(?: \([^)]*\))?(?P<after>.*)"
)


@dataclass(frozen=True)
class Key:
    """A row's label, and the name of a figure in its cell, which is empty where one needs no name."""

    label: str
    name: str
    unit: str

    def __str__(self) -> str:
        return ": ".join(text for text in (self.label, self.name) if text)


Values = Mapping[Key, Sequence[float]]
"""Each figure of a commit, once per round."""


def renamed(text: str) -> str:
    """What a part, label or figure is called now; the number of requests that it took is not in its name."""
    stable = _REQUESTS_SENT.sub("…", text)
    return RENAMED.get(stable, stable)


def figures(label: str, cell: str) -> Iterator[tuple[Key, float]]:
    """The figures of a row that can be compared, from a cell such as `290<br>p50 13.4 ms, p99 21.8 ms`.

    A rate stands for the whole cell: the latencies beside it say the same.
    """
    found = [figure for line in cell.split("<br>") for figure in _figures_of(line)]
    if found and found[0][1:] == ("", ""):
        found = found[:1]
    seen: Counter[str] = Counter()
    for value, name, unit in found:
        if _NOT_COMPARED.search(name):
            continue
        seen[name] += 1
        number = str(seen[name]) if seen[name] > 1 else ""
        yield Key(renamed(label), " ".join(filter(None, (renamed(name), number))), unit), value


def _figures_of(line: str) -> Iterator[tuple[float, str, str]]:
    """Value, name and unit of each figure in a line of a cell."""
    label, _, values = line.rpartition(": ")
    for piece in values.split(", "):
        if (match := _FIGURE.fullmatch(piece)) is not None:
            words = (label, match["before"].strip(), match["after"].strip())
            yield float(match["number"].replace(",", "")), " ".join(filter(None, words)), match["unit"] or ""


@dataclass(frozen=True)
class Comparison:
    """One figure of two commits, its values by round."""

    key: Key
    before: Sequence[float]
    after: Sequence[float]

    @property
    def medians(self) -> tuple[float, float]:
        """The earlier commit's and the later one's."""
        return statistics.median(self.before), statistics.median(self.after)

    @property
    def verdict(self) -> str:
        """`slower` or `faster` where medians differ and the ranges do not overlap, else `same`."""
        before, after = self.medians
        if abs(after - before) <= DIFFERENT_BY * before or self._overlap():
            return "same"
        return "slower" if (after > before) == (self.key.unit in LOWER_IS_BETTER) else "faster"

    def _overlap(self) -> bool:
        return min(self.before) <= max(self.after) and min(self.after) <= max(self.before)


def compared(before: Values, after: Values) -> list[Comparison]:
    """What both commits have, in the later one's order."""
    return [Comparison(key, before[key], values) for key, values in after.items() if key in before]


def table(comparisons: Sequence[Comparison], *, before: str, after: str) -> str:
    """The comparisons as a Markdown table; the arguments are the names of the commits."""
    head = ("Measured", f"{before}, median (range)", f"{after}, median (range)", "Ratio", "Verdict")
    return "\n".join([_line(head), _line(["---"] * len(head)), *map(_comparison_line, comparisons)])


def _comparison_line(comparison: Comparison) -> str:
    before, after = comparison.medians
    ratio = f"{after / before:.2f}" if before else ""
    verdict = f"**{comparison.verdict}**" if comparison.verdict == "slower" else comparison.verdict
    unit = comparison.key.unit
    cells = (_range(comparison.before, unit), _range(comparison.after, unit), ratio, verdict)
    return _line([str(comparison.key), *cells])


def _range(values: Sequence[float], unit: str) -> str:
    middle, low, high = (f"{value:,g}" if value < 1000 else f"{value:,.0f}" for value in _spread(values))
    return f"{middle}{f' {unit}' if unit else ''} ({low}–{high})"


def _spread(values: Sequence[float]) -> tuple[float, float, float]:
    return statistics.median(values), min(values), max(values)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def unmatched(before: Values, after: Values, *, names: tuple[str, str]) -> list[str]:
    """A sentence for each figure that one commit alone has."""
    sides = ((names[0], before, after), (names[1], after, before))
    return [f"Only in {name}: {key}" for name, own, other in sides for key in own if key not in other]
