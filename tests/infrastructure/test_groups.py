"""Which tests one worker runs in a row."""

from __future__ import annotations

import pytest

from tests.infrastructure.groups import group_of

ACCEPTANCE = "tests/acceptance/test_senders.py"
KILLS = "tests/acceptance/chaos/test_kills.py"
WORKERS = "tests/acceptance/chaos/test_waiting_workers.py"


@pytest.mark.parametrize(
    ("nodeid", "group"),
    [
        (f"{ACCEPTANCE}::test_it[sqlite]", "airflow-sqlite"),
        (f"{ACCEPTANCE}::test_it[a case-postgresql]", "airflow-postgresql"),
        ("tests/acceptance/test_mails.py::test_it[failed-bad@example.com]", "tests/acceptance/test_mails.py"),
        (f"{KILLS}::test_it[short]", f"{KILLS}::test_it"),
        (f"{WORKERS}::test_it[sqlite-LocalExecutor]", f"{WORKERS}::test_it"),
        ("tests/promises/test_clock.py::test_it[sqlite-blueprint]", "tests/promises/test_clock.py"),
    ],
)
def test_a_module_stays_together_and_so_do_the_stories_of_a_database(nodeid, group):
    assert group_of(nodeid) == group
