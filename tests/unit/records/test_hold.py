"""Windows of time in which deliveries start."""

from __future__ import annotations

from datetime import datetime

import pytest

from inbound_webhooks.records.hold import TimeWindow, is_open


@pytest.mark.parametrize(
    ("window", "open_at", "closed_at"),
    [
        ("08:00-17:30", ["08:00", "12:00", "17:29"], ["07:59", "17:30", "00:00"]),
        ("22:00-06:00", ["22:00", "23:59", "00:00", "05:59"], ["06:00", "12:00", "21:59"]),
    ],
)
def test_a_window_ends_before_its_end_and_may_span_midnight(window, open_at, closed_at):
    def at(text):
        return datetime.fromisoformat(f"2026-03-01T{text}:30")

    assert [text for text in open_at if not is_open(window, at(text))] == []
    assert [text for text in closed_at if is_open(window, at(text))] == []


@pytest.mark.parametrize("text", ["", "8-17", "08:00", "08:00-24:00", "08:00-08:00", "08:60-09:00", "a"])
def test_what_is_no_window_is_never_open(text):
    assert TimeWindow.parse(text) is None
    assert not is_open(text, datetime(2026, 3, 1))


def test_without_a_window_deliveries_start_always():
    assert is_open(None, datetime(2026, 3, 1))
