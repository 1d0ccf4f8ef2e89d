"""The row of the callbacks: a ratio of medians, rounded against us."""

from __future__ import annotations

from benchmarks.__main__ import PARTS
from benchmarks.callbacks import POLL_SECONDS, row
from benchmarks.dags import bench_callback


def test_a_third_of_the_sensors_median_meets_the_goal():
    found = row([1.0, 1.5, 9.0], [3.0, 4.5, 4.6])
    assert (found.ratio, found.met) == ("0.34", True)


def test_more_than_a_third_misses_it():
    found = row([1.501], [4.5])
    assert (found.ratio, found.met) == ("0.34", False)


def test_the_row_names_the_interval_of_the_sensor():
    assert bench_callback.POLL_SECONDS == POLL_SECONDS
    assert f"every {POLL_SECONDS} s" in row([1.0], [3.0]).measured


def test_the_part_can_be_chosen_by_its_name():
    assert [name for name in PARTS if "callback" in name] == ["from a callback to the next line"]
