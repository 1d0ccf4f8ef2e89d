"""A thousand tasks wait for their calls while dispatchers and gateway are killed: each is resumed once."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.chaos.killer import Killer
from tests.acceptance.chaos.site import Site
from tests.acceptance.chaos.test_kills import SEED
from tests.acceptance.chaos.waits import Call, Worker, post, problems_of, store_calls
from tests.acceptance.database import ask
from tests.infrastructure.databases import connect_airflow, disconnect_airflow

pytestmark = [pytest.mark.airflow_server, pytest.mark.long]

COUNT = 1_000
AT_ONCE = 4
DEATHS = 12
QUIET_SECONDS = 240


@pytest.fixture
def site(postgres_template, tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path, postgres_template.for_airflow(tmp_path), dispatchers=2, api_server=True)
    made.airflow.environment["AIRFLOW__INBOUND_WEBHOOKS__WAIT_SETTLE_SECONDS"] = "0"
    connect_airflow(made.database_url)
    try:
        yield made
    finally:
        made.stop()
        disconnect_airflow()


def test_each_of_a_thousand_calls_resumes_its_task_once(site):
    print(f"\nseed {SEED}: CHAOS_SEED={SEED} repeats it")
    calls = store_calls(COUNT)
    site.start()
    victims = {name: it for name, it in site.victims().items() if name != "api-server"}
    with (
        Killer(victims, random.Random(SEED), most=DEATHS, revive=site.revive) as killer,
        ThreadPoolExecutor(AT_ONCE) as pool,
    ):
        worker = Worker(site.airflow.url)
        statuses = list(pool.map(lambda call: _call_and_park(site, worker, call), calls))
    site.wait_until_up()
    site.airflow.wait_for(lambda: _open_waits(site) == 0, what="the last resumption", seconds=QUIET_SECONDS)
    print(f"deaths: {dict(killer.deaths)}")
    assert set(killer.deaths) == set(victims), "not everything was killed"
    assert any(len(tried) > 2 for tried in statuses), "no kill was noticed by a sender"
    assert problems_of(calls) == []


def _call_and_park(site: Site, worker: Worker, call: Call) -> list[int]:
    base = f"http://127.0.0.1:{site.gateway.port}"
    if call.is_early:
        statuses = post(base, call)
        worker.park(call)
    else:
        worker.park(call)
        statuses = post(base, call)
    return statuses


def _open_waits(site: Site) -> Any:
    (found,) = ask(site.airflow, "SELECT count(*) FROM inbound_webhook_wait WHERE state = 'waiting'")
    return found[0]
