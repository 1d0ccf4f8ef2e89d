"""A run of tests to interrupt: its only test waits, with a PostgreSQL server whose pid is in a file."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.infrastructure.postgres import PostgresCluster, running_cluster

MINUTES = 60


@pytest.fixture(scope="session")
def server() -> Iterator[PostgresCluster]:
    with running_cluster() as cluster:
        yield cluster


def test_it_waits(server: PostgresCluster) -> None:
    file = Path(os.environ["SERVER_PID_FILE"])
    file.with_suffix(".new").write_text(str(server.pid))
    file.with_suffix(".new").rename(file)
    time.sleep(10 * MINUTES)
    pytest.fail("it was not interrupted")
