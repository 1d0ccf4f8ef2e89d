"""The comparison of two commits: which figures belong together, and when the later ones are worse."""

from __future__ import annotations

import pytest

from benchmarks import comparison
from benchmarks.comparison import Comparison, Key, compared, figures, table, unmatched


def parsed(cell: str) -> dict[str, tuple[float, str]]:
    """Name of each figure -> value and unit."""
    return {key.name: (value, key.unit) for key, value in figures("label", cell)}


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("290 (268–296)<br>p50 13.4 ms, p99 21.8 ms", {"": (290, "")}),
        ("10,990 (10,330–12,319)", {"": (10_990, "")}),
        ("107", {"": (107, "")}),
        ("p50 15.5 ms, p99 23.9 ms", {"p50": (15.5, "ms")}),
        ("1.2 ms, 1.4 ms<br>difference 0.03 ms", {"": (1.2, "ms"), "2": (1.4, "ms")}),
        (
            "165 MB after a tenth, 166 MB at the end, 167 MB at most",
            {"after a tenth": (165, "MB"), "at the end": (166, "MB"), "at most": (167, "MB")},
        ),
        (
            "1,116 s<br>inserts meanwhile p50 1.3 ms, p99 6.4 ms",
            {"": (1116, "s"), "inserts meanwhile p50": (1.3, "ms")},
        ),
        (
            "list: 97.3 ms<br>list, page 300: 93.0 ms<br>slowest of all: 196.3 ms",
            {"list": (97.3, "ms"), "list, page 300": (93, "ms")},
        ),
        (
            "4 connections: 38,611<br>16 connections: 44,490",
            {"4 connections": (38_611, ""), "16 connections": (44_490, "")},
        ),
    ],
)
def test_finds_each_figure_of_a_cell_but_those_that_chance_decides(cell, expected):
    assert parsed(cell) == expected


def test_a_rows_label_does_not_depend_on_how_many_requests_it_took():
    few, many = (
        next(figures(f"Memory of a gateway process over {number} requests", "165 MB at most"))[0]
        for number in ("5,001", "1,006,438")
    )
    assert few == many


def test_a_label_with_connections_keeps_their_number():
    four, sixteen = (next(figures(f"POSTs, {number} connections", "300"))[0] for number in (4, 16))
    assert four != sixteen


def test_a_renamed_row_and_figure_is_matched_with_its_present_name(monkeypatch: pytest.MonkeyPatch):
    names = {"what the door turns away": "what the endpoint rejects", "old page": "new page"}
    monkeypatch.setattr(comparison, "RENAMED", names)
    before = dict(figures("what the door turns away", "old page: 97.3 ms"))
    after = dict(figures("what the endpoint rejects", "new page: 97.3 ms"))
    assert list(before) == list(after)


RATE, WAIT, SIZE = Key("POSTs", "", ""), Key("POSTs", "p50", "ms"), Key("Memory", "at most", "MB")


@pytest.mark.parametrize(
    ("key", "before", "after", "verdict"),
    [
        # 300 - 10 % = 270; the ranges must not touch either.
        (RATE, (290, 300, 310), (250, 260, 269), "slower"),
        (RATE, (290, 300, 310), (250, 260, 290), "same"),
        (RATE, (290, 300, 310), (260, 271, 280), "same"),
        (RATE, (290, 300, 310), (340, 350, 360), "faster"),
        (WAIT, (9, 10, 10.5), (11, 11.1, 13), "slower"),
        (WAIT, (9, 10, 10.5), (10.6, 11, 13), "same"),
        (WAIT, (9, 10, 11.1), (11, 11.1, 13), "same"),
        (WAIT, (9, 10, 10.5), (7, 8, 8.5), "faster"),
        (SIZE, (160, 165, 170), (190, 191, 192), "slower"),
        (RATE, (0, 0, 0), (0, 0, 0), "same"),
    ],
)
def test_a_figure_is_slower_where_medians_and_ranges_differ_in_the_bad_direction(key, before, after, verdict):
    assert Comparison(key, before, after).verdict == verdict


def test_what_one_commit_alone_has_is_named_and_not_compared():
    before, after = {RATE: [300.0], WAIT: [10.0]}, {RATE: [100.0], SIZE: [165.0]}
    assert [comparison.key for comparison in compared(before, after)] == [RATE]
    assert unmatched(before, after, names=("17c8dad", "tree")) == [
        "Only in 17c8dad: POSTs: p50",
        "Only in tree: Memory: at most",
    ]


def test_the_table_has_medians_ranges_ratio_and_verdict():
    comparisons = [
        Comparison(RATE, (2900, 3000.4, 3100), (2500, 2600, 2690)),
        Comparison(WAIT, (9, 10), (9, 11)),
    ]
    assert table(comparisons, before="17c8dad", after="tree").splitlines() == [
        "| Measured | 17c8dad, median (range) | tree, median (range) | Ratio | Verdict |",
        "| --- | --- | --- | --- | --- |",
        "| POSTs | 3,000 (2,900–3,100) | 2,600 (2,500–2,690) | 0.87 | **slower** |",
        "| POSTs: p50 | 9.5 ms (9–10) | 10 ms (9–11) | 1.05 | same |",
    ]
