"""SECURITY.md's table of limits is generated, and has all options that are limits."""

from __future__ import annotations

import dataclasses

import pytest

from dev.security_limits import BEGIN, END, Limit, limits, table, written
from inbound_webhooks.settings import Settings
from tests.infrastructure.pages import page

NO_LIMITS = {
    "dispatcher_batch_size",
    "dispatcher_poll_seconds",
    "outcome_poll_seconds",
    "digest_window_seconds",
    "wait_settle_seconds",
    "activity_retention_days",
    "retention_days",
}
"""Options with a number beyond which nothing is refused or put off."""

NUMBERS = [option for option in dataclasses.fields(Settings) if option.metadata["minimum"] is not None]


def test_the_table_is_what_the_settings_say():
    assert written(page("SECURITY.md")) == page("SECURITY.md"), (
        "run `.venv/bin/python dev/security_limits.py`"
    )


@pytest.mark.parametrize("option", NUMBERS, ids=lambda option: option.name)
def test_an_option_that_is_a_limit_says_in_which_unit_and_what_happens_beyond_it(option):
    said = option.metadata["unit"], option.metadata["beyond"]

    assert all(said) is (option.name not in NO_LIMITS)


def test_every_limit_says_what_happens_beyond_it():
    assert [limit.name for limit in limits() if not limit.beyond] == []


def test_no_limit_stands_there_twice():
    names = [limit.name for limit in limits()]

    assert len(set(names)) == len(names)


def test_numbers_are_written_as_people_read_them():
    made = [Limit("it", value, "bytes", "413").cells[1] for value in (2_097_152, 0.5, "none")]

    assert made == ["2,097,152 bytes", "0.5 bytes", "none bytes"]


def test_the_rest_of_the_page_stays_as_it_is():
    made = written(f"before\n{BEGIN}\nthe last table\n{END}\nafter\n")

    assert made == f"before\n{BEGIN}\n\n{table()}\n\n{END}\nafter\n"
