"""Webhooks of every target and mode get numbered events while all is killed: each has exactly one outcome.

CHAOS_EVENTS=600 is a short form, CHAOS_DISPATCHERS the number of dispatchers, CHAOS_SEED as in `test_kills`.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.acceptance.chaos.actors import Owner, Workers
from tests.acceptance.chaos.killer import Killer, Victim
from tests.acceptance.chaos.modes import Events, store_modes
from tests.acceptance.chaos.outcomes import Tables, check, read, unfinished
from tests.acceptance.chaos.site import Site, crash
from tests.acceptance.chaos.stream import Stream
from tests.acceptance.chaos.test_kills import SEED
from tests.infrastructure.databases import TEMPLATE, connect_airflow, disconnect_airflow
from tests.infrastructure.postgres import PostgresCluster

pytestmark = [pytest.mark.airflow_server, pytest.mark.long]

COUNT = int(os.environ.get("CHAOS_EVENTS") or 20_000)
DISPATCHERS = int(os.environ.get("CHAOS_DISPATCHERS") or 8)
A_SECOND = 60
CONNECTIONS = 8
EVENTS_A_DEATH = 500
LONGEST_PAUSE_SECONDS = min(10.0, max(3.0, COUNT / 500))
"""Between two deaths: long enough for dispatchers to decide about groups meanwhile, but in the short form."""
AWAY_SECONDS = 8
"""Longer than a batch is open and a debounce is quiet, see modes.py."""
DRAIN_SECONDS = 400
SETTINGS = {
    "OUTCOME_POLL_SECONDS": "0.5",
    # The stream fills the queue, so deliveries of all modes wait for room as well.
    "MAX_QUEUED_RUNS": "100",
    "DAG_QUEUE_PERCENT": "100",
}


@pytest.fixture
def site(own_cluster: PostgresCluster, tmp_path: Path) -> Iterator[Site]:
    url = own_cluster.create_database("airflow", template=TEMPLATE)
    made = Site(tmp_path, url, dispatchers=DISPATCHERS, api_server=False)
    made.airflow.environment.update(
        {f"AIRFLOW__INBOUND_WEBHOOKS__{name}": value for name, value in SETTINGS.items()}
    )
    connect_airflow(url)
    try:
        yield made
    finally:
        made.stop()
        disconnect_airflow()


def test_each_event_of_every_mode_has_exactly_one_outcome(site, own_cluster):
    print(f"\nseed {SEED}: CHAOS_SEED={SEED} repeats it")
    ids, targets = store_modes()
    events = Events(COUNT)
    stream = Stream(
        site.endpoints,
        targets,
        count=COUNT,
        a_second=A_SECOND,
        connections=CONNECTIONS,
        payload=events.of,
    )
    site.start()
    victims = victims_of(site, own_cluster)
    deaths = max(len(victims), COUNT // EVENTS_A_DEATH)
    with Workers(site.database_url) as workers:
        with (
            Killer(
                victims,
                random.Random(SEED),
                most=deaths,
                revive=site.revive,
                longest_pause=LONGEST_PAUSE_SECONDS,
            ) as killer,
            Owner(ids["held"], lambda: len(stream.sent) / COUNT) as owner,
        ):
            stream.run(may_end=killer.has_killed_all)
        site.wait_until_up()
        site.airflow.wait_for(
            lambda: not unfinished(site.database_url), what="the last outcome", seconds=DRAIN_SECONDS
        )
    tables = read(site.database_url)
    print(f"{len(stream.sent):,} numbers; deaths: {dict(killer.deaths)}; {workers.ended:,} runs")
    print(summary(tables))
    assert set(killer.deaths) == set(victims), "not everything was killed"
    assert any(len(event.responses) > 1 for event in stream.sent), "no kill was noticed by a sender"
    assert owner.held is not None, "the webhook was not put on hold"
    assert check(stream.sent, tables, owner.held) == []
    assert_all_happened(tables)


def victims_of(site: Site, cluster: PostgresCluster) -> dict[str, Victim]:
    """Each process and the server, and all dispatchers at once, which are away for a while."""
    are_up = lambda: all(map(site.is_up, site.dispatchers))  # noqa: E731
    none = Victim(are_up, partial(site.leave_without_dispatchers, AWAY_SECONDS))
    return {"PostgreSQL": crash(cluster, site), "all dispatchers": none, **site.victims()}


def assert_all_happened(tables: Tables) -> None:
    """The stream has had every state, or it would prove less than it says."""
    wanted = {"succeeded", "split", "superseded", "skipped", "cancelled"}
    assert {row.state for row in tables.rows} == wanted
    assert any(len(run.deliveries) > 1 for run in tables.runs), "no batch had two deliveries"


def summary(tables: Tables) -> str:
    """How many deliveries of each webhook ended in each state."""
    found = Counter((row.webhook, row.state) for row in tables.rows)
    return "\n".join(f"{webhook}: {number:,} {state}" for (webhook, state), number in sorted(found.items()))
