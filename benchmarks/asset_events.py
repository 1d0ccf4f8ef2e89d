"""Asset events a second of one dispatcher, against those that Airflow's own endpoint creates."""

from __future__ import annotations

import json
import statistics
from contextlib import ExitStack

from benchmarks.client import Target, post
from benchmarks.dispatchers import CONNECTIONS, WARM_UP, drained, worker
from benchmarks.figures import Row, rate, ratio
from benchmarks.payload import MAPPING, conf
from benchmarks.posts import WARM_UP_SECONDS, Side
from benchmarks.scale import Scale
from benchmarks.site import Site, create_webhook, running
from tests.infrastructure.airflow_processes import AirflowProcesses

GOAL_RATIO = 3
ASSET = "bench_asset"
OURS = "SELECT count(*) FROM asset_event WHERE (extra ->> 'delivery_id') IS NOT NULL"


def measure(site: Site, scale: Scale) -> tuple[list[Row], list[str]]:
    """The row, and whether each delivery has its event."""
    name = "asset_events"
    ours: list[float] = []
    with running(site.airflow(name, dispatcher=False)) as airflow, ExitStack() as ended:
        create_webhook(airflow, ASSET, MAPPING, "--asset", ASSET, dag_id="")
        theirs = Side(_create(site, name, airflow))
        one = ended.enter_context(worker(airflow))
        theirs.take(CONNECTIONS, WARM_UP_SECONDS, keep=False)
        drained(WARM_UP, one, webhook=ASSET)
        for _ in range(scale.dispatcher_rounds):
            theirs.take(CONNECTIONS, scale.round_seconds)
            ours.append(drained(scale.dispatched, one, webhook=ASSET))
    made, wanted = site.count(name, OURS), WARM_UP + scale.dispatcher_rounds * scale.dispatched
    verdict = "equal" if made == wanted else "**not equal**"
    return [_row(ours, theirs)], [f"Asset events: {wanted:,} deliveries, {made:,} events ({verdict})."]


def _create(site: Site, database: str, airflow: AirflowProcesses) -> Target:
    """The request that Airflow's own API takes for the same event."""
    asset_id = site.count(database, f"SELECT id FROM asset WHERE name = '{ASSET}'")
    body = json.dumps({"asset_id": asset_id, "extra": conf()}).encode()
    return post(airflow.port, "/api/v2/assets/events", body, bearer=airflow.token())


def _row(ours: list[float], theirs: Side) -> Row:
    quotient = statistics.median(ours) / theirs.median
    return Row(
        measured=f"Asset events a second of one dispatcher; of `POST …/events`, {CONNECTIONS} connections",
        ours=rate(ours),
        airflow=rate([result.a_second for result in theirs.rounds]),
        ratio=ratio(quotient),
        goal=f"ratio ≥ {GOAL_RATIO}",
        met=quotient >= GOAL_RATIO,
    )
