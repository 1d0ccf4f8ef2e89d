"""Nothing is lost and nothing runs twice while processes and their database are killed at random.

`make test` has one short round, on PostgreSQL: each process dies once, PostgreSQL too, in a fixed order.
The long rounds print their seed: CHAOS_SEED=… gives the same deaths in the same order, CHAOS_SECONDS=… a
longer stream.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.acceptance.chaos.checker import check, read
from tests.acceptance.chaos.killer import Killer
from tests.acceptance.chaos.site import Site, crash, store_targets
from tests.acceptance.chaos.stream import Stream
from tests.infrastructure.databases import TEMPLATE
from tests.infrastructure.postgres import PostgresCluster

pytestmark = pytest.mark.airflow_server

CONNECTIONS = 4
SEED_OF_SHORT_ROUND = 2
SECONDS_A_DEATH = 3
SEED = int(os.environ.get("CHAOS_SEED") or random.randrange(2**32))
SECONDS = float(os.environ.get("CHAOS_SECONDS") or 0)


@dataclass(frozen=True)
class Round:
    """So many numbers at so many a second, or more, until each victim has died, and so many in all."""

    count: int
    a_second: float
    deaths: int = 0
    seed: int = SEED_OF_SHORT_ROUND


def long_round(count: int, a_second: float, deaths: int) -> Round:
    """As many numbers and deaths, or more where the environment asks for a longer time."""
    return Round(
        max(count, int(SECONDS * a_second)), a_second, max(deaths, int(SECONDS / SECONDS_A_DEATH)), SEED
    )


def in_all(long: Round) -> Any:
    """A round that `make test` leaves out."""
    return pytest.param(long, id="long", marks=pytest.mark.long)


@pytest.fixture
def on_postgres(own_cluster: PostgresCluster, tmp_path) -> Iterator[Site]:
    url = own_cluster.create_database("airflow", template=TEMPLATE)
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


@pytest.mark.parametrize(
    "round", [pytest.param(Round(500, 30), id="short"), in_all(long_round(5_000, 60, 30))]
)
def test_what_was_taken_runs_once_while_processes_and_postgresql_are_killed(on_postgres, own_cluster, round):
    victims = {"PostgreSQL": crash(own_cluster, on_postgres), **on_postgres.victims()}
    assert problems_of(on_postgres, victims, round) == []


@pytest.mark.parametrize("round", [in_all(long_round(1_000, 25, 15))])
def test_what_was_taken_runs_once_while_processes_on_sqlite_are_killed(on_sqlite, round):
    assert problems_of(on_sqlite, on_sqlite.victims(), round) == []


def problems_of(site: Site, victims, round: Round) -> list[str]:
    """Send the stream while victims die; what is wrong when all is quiet again."""
    print(f"\nseed {round.seed}: CHAOS_SEED={round.seed} repeats it")
    targets = store_targets(site.database_url)
    stream = Stream(
        site.endpoints, targets, count=round.count, a_second=round.a_second, connections=CONNECTIONS
    )
    site.start()
    with Killer(victims, random.Random(round.seed), most=round.deaths, revive=site.revive) as killer:
        stream.run(may_end=killer.has_killed_all)
    site.wait_until_up()
    site.wait_until_drained()
    verdict = check(stream.sent, *read(site.database_url))
    print(f"{len(stream.sent):,} numbers; deaths: {dict(killer.deaths)}\n{verdict}")
    assert set(killer.deaths) == set(victims), "not everything was killed"
    assert verdict.recovered, "no kill was noticed by a sender"
    return verdict.problems
