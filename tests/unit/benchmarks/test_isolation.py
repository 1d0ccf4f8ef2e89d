"""The rows of isolation: ratios of p99, rounded against us, and whether all goals are met."""

from __future__ import annotations

import contextlib
import re
import socket
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks.attacker_process import attacking
from benchmarks.attacks import ATTACKS
from benchmarks.client import Round
from benchmarks.comparison import figures
from benchmarks.isolation import TITLES, row, without_a
from benchmarks.isolation_scene import Taken
from benchmarks.report import line


def round_of(seconds: float, *, others: int = 0) -> Round:
    """A hundred responses after so long, of which some are 503."""
    statuses = Counter({202: 100 - others, 503: others})
    return Round(statuses=+statuses, latencies=[seconds] * 100, seconds=5)


def taken(
    b: float, airflow: float | None = None, *, disabled: float = 0.1, status: int = 200, others: int = 0
):
    """What B and Airflow got."""
    return Taken(
        b=round_of(b, others=others),
        airflow=None if airflow is None else round_of(airflow),
        disablings=[(200, 0.1), (status, disabled)],
    )


QUIET = taken(0.010, 0.010)


@pytest.mark.parametrize(
    ("attacked", "is_met"),
    [
        (taken(0.030, 0.030), True),
        (taken(0.031, 0.010), False),
        (taken(0.010, 0.031), False),
        (taken(0.010, 0.010, others=1), False),
        (taken(0.010, 0.010, disabled=2.0), False),
        (taken(0.010, 0.010, status=503), False),
    ],
    ids=["three times", "B slower", "Airflow slower", "B refused", "disable slow", "disable failed"],
)
def test_all_goals_have_to_be_met(attacked, is_met):
    assert row("gateway, A attacks", attacked, QUIET).met is is_met


def test_three_times_of_much_is_no_goal_that_is_met():
    assert row("gateway, A attacks", taken(0.250), taken(0.200)).met is False


def test_ratios_are_rounded_against_us():
    assert row("gateway, A attacks", taken(0.02001, 0.03), QUIET).ratio == "B 2.01<br>Airflow 3.00"


def test_responses_that_are_no_success_stand_in_the_cell():
    assert "(3 × 503)" in row("gateway, A attacks", taken(0.01, others=3), QUIET).ours


def test_an_attack_that_is_not_saved_is_no_failure():
    found = row("gateway, A attacks", Taken(b=Round(), refused="too many nodes"), QUIET)

    assert (found.ours, found.met) == ("refused when it is saved", True)


def test_the_loads_before_and_after_the_attacks_count_as_one():
    both = without_a([taken(0.01), taken(0.02)])

    assert (len(both.b.latencies), both.b.seconds, both.airflow, len(both.disablings)) == (200, 10, None, 4)


def test_another_commits_row_is_compared_in_milliseconds():
    found = row("gateway, A attacks", taken(0.02, 0.03), QUIET)

    assert {key.unit for key, _ in figures(found.measured, found.ours)} == {"ms"}


def test_a_bar_in_a_title_begins_no_cell():
    found = row(f"gateway, A {TITLES['QueryLength']}", taken(0.02), QUIET)

    assert len(re.findall(r"(?<!\\)\|", line(found))) == len(found.cells) + 1


def test_every_attack_has_a_title_of_its_own():
    assert len({*TITLES.values()}) == len(ATTACKS) + 1


@pytest.fixture
def server() -> Iterator[socket.socket]:
    """A server for which the system accepts connections, and that says nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as made:
        yield made


def test_an_attack_runs_in_a_process_of_its_own_until_it_is_ended(server, tmp_path):
    with attacking(["SilentConnections"], stage(server, silent=20), tmp_path / "log") as (refused, ended):
        server.accept()[0].close()
        report = ended()

    assert refused == {}
    assert re.fullmatch(r"\d+ × opened", report)


def test_an_attack_ends_by_itself_when_its_time_is_over(server, tmp_path):
    order = stage(server, silent=20, seconds=0.2)
    with attacking(["SilentConnections"], order, tmp_path / "log") as (_, ended):
        first = server.accept()[0]
        # The other end closes it, and has said nothing.
        with first, contextlib.suppress(ConnectionError):
            assert first.recv(1) == b""
        assert "opened" in ended()


def stage(server: socket.socket, *, silent: int, seconds: float = 60.0) -> dict[str, Any]:
    """A stage of an attack that needs no product."""
    nothing = {"api_port": 0, "bearer": "", "database_url": "", "mail_port": 0, "waiting": 0, "mails": 0}
    port = server.getsockname()[1]
    return {"endpoint_port": port, "prefix": "", "silent": silent, "seconds": seconds, **nothing}
