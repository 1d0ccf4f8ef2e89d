"""The row of the commands: a ratio of medians, rounded against us."""

from __future__ import annotations

from benchmarks.__main__ import PARTS
from benchmarks.commands import row
from benchmarks.comparison import figures


def test_a_command_within_ten_percent_meets_the_goal():
    found = row([2.0, 2.19, 9.0], [1.0, 2.0, 2.1])
    assert (found.ratio, found.met) == ("1.10", True)


def test_a_slower_one_misses_it_and_its_ratio_is_not_rounded_down():
    found = row([2.2021], [2.0])
    assert (found.ratio, found.met) == ("1.11", False)


def test_another_commits_row_is_compared_in_milliseconds_however_often_it_ran():
    one, three = ([*figures(found.measured, found.ours)] for found in (row([2.5], [2]), row([2.5] * 3, [2])))
    assert one == three
    ((key, value),) = one
    assert (key.unit, value) == ("ms", 2500)


def test_the_part_can_be_chosen_by_its_name():
    assert [name for name in PARTS if "commands" in name] == ["commands"]
