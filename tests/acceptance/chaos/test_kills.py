"""Nothing is lost and nothing runs twice while processes and their database are killed at random.

The seed is printed: CHAOS_SEED=… gives the same deaths in the same order, CHAOS_SECONDS=… a longer stream.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest

from tests.acceptance.chaos.checker import check, read
from tests.acceptance.chaos.killer import Killer
from tests.acceptance.chaos.site import Site, crash, store_targets
from tests.acceptance.chaos.stream import Stream
from tests.infrastructure.databases import migrate
from tests.infrastructure.postgres import PostgresCluster

pytestmark = pytest.mark.airflow_server

CONNECTIONS = 4
SECONDS_A_DEATH = 3
SEED = int(os.environ.get("CHAOS_SEED") or random.randrange(2**32))
SECONDS = float(os.environ.get("CHAOS_SECONDS") or 0)


@pytest.fixture(scope="module")
def own_cluster() -> Iterator[PostgresCluster]:
    """A server that may crash: a commit is on the disk when it returns, as in production."""
    cluster = PostgresCluster(fsync=True)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.remove()


@pytest.fixture
def on_postgres(own_cluster: PostgresCluster, tmp_path) -> Iterator[Site]:
    url = own_cluster.create_database("airflow")
    migrate(url, tmp_path)
    yield from started(Site(tmp_path, url, dispatchers=2, api_server=True))


@pytest.fixture
def on_sqlite(sqlite_template, tmp_path) -> Iterator[Site]:
    url = sqlite_template.copy_to(tmp_path / "airflow.db")
    yield from started(Site(tmp_path, url, dispatchers=1, api_server=False))


def started(site: Site) -> Iterator[Site]:
    try:
        yield site
    finally:
        site.stop()


def test_what_was_taken_runs_once_while_processes_and_postgresql_are_killed(on_postgres, own_cluster):
    victims = {"PostgreSQL": crash(own_cluster, on_postgres), **on_postgres.victims()}
    assert problems_of(on_postgres, victims, count=5_000, a_second=60, deaths=30) == []


def test_what_was_taken_runs_once_while_processes_on_sqlite_are_killed(on_sqlite):
    assert problems_of(on_sqlite, on_sqlite.victims(), count=1_000, a_second=25, deaths=15) == []


def problems_of(site: Site, victims, *, count: int, a_second: float, deaths: int) -> list[str]:
    """Send the stream while victims die; what is wrong when all is quiet again."""
    print(f"\nseed {SEED}: CHAOS_SEED={SEED} repeats it")
    count = max(count, int(SECONDS * a_second))
    stream = Stream(
        site.doors, store_targets(site.database_url), count=count, a_second=a_second, connections=CONNECTIONS
    )
    site.start()
    deaths = max(deaths, int(SECONDS / SECONDS_A_DEATH))
    with Killer(victims, random.Random(SEED), most=deaths, revive=site.revive) as killer:
        stream.run()
    site.wait_until_up()
    site.wait_until_drained()
    verdict = check(stream.sent, *read(site.database_url))
    print(f"{count:,} numbers; deaths: {dict(killer.deaths)}\n{verdict}")
    assert set(killer.deaths) == set(victims), "not everything was killed"
    assert verdict.recovered, "no kill was noticed by a sender"
    return verdict.problems
