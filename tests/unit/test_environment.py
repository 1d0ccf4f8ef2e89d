"""The problems of a process's environment."""

from __future__ import annotations

import logging

import pytest

from inbound_webhooks.errors import Problem
from inbound_webhooks.monitoring.environment import Environment

STOPS = Problem("The tables are missing. Run `airflow db migrate`.", code="tables-missing")
DELAYS = Problem("The connection is slow.", code="slow", severity="delays")


@pytest.fixture
def environment():
    return Environment()


def test_a_problem_is_logged_once_until_it_changes(environment, caplog):
    caplog.set_level(logging.INFO)
    environment.report(STOPS)
    environment.report(STOPS)
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert f"code=tables-missing: {STOPS.message}" in caplog.text
    environment.report(Problem("Another sentence.", code="tables-missing"))
    assert len(caplog.records) == 2


def test_a_problem_that_stops_nothing_is_a_warning(environment, caplog):
    environment.report(DELAYS)
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_those_that_stop_the_endpoint_come_first(environment):
    environment.report(DELAYS)
    environment.report(STOPS)
    assert environment.problems() == (STOPS, DELAYS)


def test_a_solved_problem_is_gone_and_logged_when_it_comes_back(environment, caplog):
    caplog.set_level(logging.INFO)
    environment.report(STOPS)
    environment.resolve(STOPS.code)
    environment.resolve(STOPS.code)
    environment.report(STOPS)
    assert environment.problems() == (STOPS,)
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO", "ERROR"]
