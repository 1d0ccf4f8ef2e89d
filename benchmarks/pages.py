"""How long the management pages take over HTTP, with many webhooks and deliveries."""

from __future__ import annotations

import http.client
import statistics
import time
from datetime import datetime, timedelta, timezone

from benchmarks.figures import Row, milliseconds, ratio_upwards
from benchmarks.scale import Scale
from benchmarks.site import Site, running

GOAL_SECONDS = 0.5
DATABASE_WITH_MANY = "gateway_many"
BUSY = "0000000002"
"""The webhook that has a third of all deliveries; every second one is of a DAG that Airflow knows."""

MOST_TIMES_AIRFLOWS = 3.0
DAG_RUNS = "/api/v2/dags/~/dagRuns?limit=50&offset=0&order_by=-run_after"
"""What Airflow's own page *Dag Runs* waits for."""

MOST_RUNS = 100_000
COUNTED_WEBHOOKS = 1_000
"""Webhooks whose counts go back a week; those of the others are of the last 24 hours."""

PAGES = {
    "list": "/",
    "list with the busy webhook on it": "/?text=hook+2",
    "list by last delivery": "/?sort=last&down=1",
    "list, page 300": "/?page=300",
    "webhook": f"/hook/{BUSY}",
    "its deliveries": f"/hook/{BUSY}/deliveries",
    "its deliveries of a rare state": f"/hook/{BUSY}/deliveries?state=undeliverable",
    "all deliveries": "/deliveries",
    "all deliveries, failed": "/deliveries?state=failed",
    "all deliveries of a rare state": "/deliveries?state=undeliverable&state=cancelled",
    "all deliveries of a Dag": "/deliveries?dag=bench_order&state=succeeded",
    "all deliveries of an hour": "/deliveries?from={hour_ago}&state=failed",
    "all deliveries, part alone": "/deliveries/rows?state=failed",
    "text in bodies, not found": "/deliveries?text=needle",
    "rejections": "/rejections",
    "its activity": f"/hook/{BUSY}/activity",
    "its activity of a week": f"/hook/{BUSY}/activity?hours=168",
    "all activity": "/activity",
    "all activity of a week": "/activity?hours=168",
}
DELIVERY = """
SELECT id, run_id FROM inbound_webhook_delivery WHERE webhook_id = %(busy)s AND run_id IS NOT NULL
ORDER BY id DESC LIMIT 1
"""

WEBHOOKS = """
INSERT INTO inbound_webhook
    (id, name, dag_id, enabled, version, mapping, response_content_type, disabled_status, invalid_status,
     created_at, updated_at)
SELECT lpad(n::text, 10, '0'), 'hook ' || n, CASE WHEN n %% 2 = 0 THEN 'bench_order' ELSE 'dag_' || n END,
       true, 1, '{}', 'application/json', 403, 422, now(), now()
FROM generate_series(1, %(webhooks)s) AS n
"""
TOKENS = """
INSERT INTO inbound_webhook_token (webhook_id, encrypted, created_at)
SELECT w.id, t.encrypted, now() FROM inbound_webhook AS w,
       (SELECT encrypted FROM inbound_webhook_token LIMIT 1) AS t
WHERE w.name LIKE 'hook %%'
"""
# Their ids begin with the time, as UUIDs of version 7 do; all of them are of the last 24 hours.
DELIVERIES = """
INSERT INTO inbound_webhook_delivery
    (id, webhook_id, webhook_name, dag_id, state, received_at, source_ip, query_string, headers, body, conf,
     response_status, attempts, run_id, dispatched_at)
SELECT lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || lpad(to_hex(n), 19, '0'),
       CASE WHEN n %% 3 = 0 THEN %(busy)s ELSE lpad((1 + n %% %(webhooks)s)::text, 10, '0') END,
       'hook', 'bench_order', CASE WHEN n %% 10 = 0 THEN 'failed' ELSE 'succeeded' END,
       at, '127.0.0.1', '', '[]', convert_to(repeat('x', 200), 'UTF8'), '{}', 202, 1,
       'webhook__' || lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7'
       || lpad(to_hex(n), 19, '0'), at + interval '1 second'
FROM (SELECT n, now() - n * interval '86400 seconds' / %(deliveries)s AS at
      FROM generate_series(1, %(deliveries)s) AS n) AS spread
"""

RUNS = """
INSERT INTO dag_run (dag_id, run_id, run_type, run_after, queued_at, start_date, end_date, state, span_status)
SELECT dag_id, run_id, 'manual', received_at, received_at, received_at + interval '1 second',
       received_at + interval '2 seconds', CASE state WHEN 'failed' THEN 'failed' ELSE 'success' END, 'ended'
FROM inbound_webhook_delivery ORDER BY id DESC LIMIT %(runs)s
"""
COUNTS = """
INSERT INTO inbound_webhook_activity (webhook_id, hour, state, count, to_run)
SELECT webhook_id, floor(extract(epoch FROM received_at) / 3600)::int, state, count(*),
       '{"6":' || count(*) || '}'
FROM inbound_webhook_delivery GROUP BY 1, 2, 3
"""
OLDER_COUNTS = """
INSERT INTO inbound_webhook_activity (webhook_id, hour, state, count, to_run)
SELECT webhook_id, hour - 24 * day, state, count, to_run
FROM inbound_webhook_activity, generate_series(1, 6) AS day
WHERE webhook_id IN (SELECT id FROM inbound_webhook ORDER BY id LIMIT %(counted)s)
  AND hour > (SELECT min(hour) FROM inbound_webhook_activity)
  AND hour < (SELECT max(hour) FROM inbound_webhook_activity)
"""
SUMS = """
INSERT INTO inbound_webhook_activity (webhook_id, hour, state, count, to_run)
SELECT '', hour, state, sum(count), '{"6":' || sum(count) || '}'
FROM inbound_webhook_activity GROUP BY hour, state
"""
COUNTED_HOURS = """
INSERT INTO inbound_webhook_activity_hour (hour, version, passes, counted_at)
SELECT hour, 1, CASE WHEN hour < floor(extract(epoch FROM now()) / 3600) THEN 1 ELSE 0 END, now()
FROM (SELECT DISTINCT hour FROM inbound_webhook_activity) AS hours
"""


def measure(site: Site, scale: Scale) -> list[Row]:
    """The row: the median of each page beside Airflow's own, and the slowest response of all."""
    airflow = site.airflow("pages", dispatcher=False)
    fill(site, scale, "pages")
    found = _fill_activity(site, scale, "pages")
    pages = PAGES | {
        "a delivery": f"/delivery/{found[0]}",
        "the tab of its run": f"/run/bench_order/{found[1]}",
    }
    with running(airflow):
        token = airflow.token()
        connection = http.client.HTTPConnection("127.0.0.1", airflow.port, timeout=60)
        _seconds(connection, token, "/pluginsv2/webhooks/")
        _seconds(connection, token, DAG_RUNS)
        hour_ago = (datetime.now(timezone.utc) - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M")
        views = range(scale.page_views)
        paths = {name: "/pluginsv2/webhooks" + path.format(hour_ago=hour_ago) for name, path in pages.items()}
        airflows = [_seconds(connection, token, DAG_RUNS) for _ in views]
        taken = {name: [_seconds(connection, token, path) for _ in views] for name, path in paths.items()}
    return [_row(scale, taken, statistics.median(airflows))]


def _row(scale: Scale, taken: dict[str, list[float]], airflows: float) -> Row:
    slowest = max(max(seconds) for seconds in taken.values())
    medians = {name: statistics.median(seconds) for name, seconds in taken.items()}
    times = max(medians.values()) / airflows
    shown = "<br>".join(f"{name}: {milliseconds(seconds)}" for name, seconds in medians.items())
    return Row(
        measured=f"Pages with {scale.webhooks:,} webhooks and {scale.stored:,} deliveries, "
        f"{scale.page_views} views of each",
        ours=f"{shown}<br>slowest of all: {milliseconds(slowest)}",
        airflow=f"Dag Runs: {milliseconds(airflows)}",
        ratio=ratio_upwards(times),
        goal=f"slowest < {GOAL_SECONDS * 1000:.0f} ms, each median ≤ {MOST_TIMES_AIRFLOWS:.0f} × Airflow's",
        met=slowest < GOAL_SECONDS and times <= MOST_TIMES_AIRFLOWS,
    )


def _fill_activity(site: Site, scale: Scale, database: str) -> tuple[str, str]:
    """Put the counts and the runs into a database; returns a delivery's id and its run's."""
    connection = site.cluster.connect(database)
    try:
        connection.autocommit = True
        cursor = connection.cursor()
        values = {"runs": min(scale.stored, MOST_RUNS), "counted": COUNTED_WEBHOOKS, "busy": BUSY}
        for statement in (RUNS, COUNTS, OLDER_COUNTS, SUMS, COUNTED_HOURS, "VACUUM ANALYZE"):
            cursor.execute(statement, values)
        cursor.execute(DELIVERY, values)
        delivery_id, run_id = cursor.fetchone()
        return delivery_id, run_id
    finally:
        connection.close()


def fill(site: Site, scale: Scale, database: str = DATABASE_WITH_MANY) -> None:
    """Put the webhooks and deliveries into a database."""
    connection = site.cluster.connect(database)
    try:
        connection.autocommit = True
        cursor = connection.cursor()
        values = {"webhooks": scale.webhooks, "deliveries": scale.stored, "busy": BUSY}
        for statement in (WEBHOOKS, TOKENS, DELIVERIES):
            cursor.execute(statement, values)
        cursor.execute("VACUUM ANALYZE")
    finally:
        connection.close()


def _seconds(connection: http.client.HTTPConnection, token: str, path: str) -> float:
    started = time.perf_counter()
    connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
    response = connection.getresponse()
    response.read()
    if response.status != 200:
        raise RuntimeError(f"{path} answered {response.status}")
    return time.perf_counter() - started
