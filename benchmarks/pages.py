"""How long the management pages take over HTTP, with many webhooks and deliveries."""

from __future__ import annotations

import http.client
import statistics
import time
from datetime import datetime, timedelta, timezone

from benchmarks.figures import Row, milliseconds
from benchmarks.scale import Scale
from benchmarks.site import Site, running

GOAL_SECONDS = 0.5
DATABASE_WITH_MANY = "gateway_many"
BUSY = "0000000002"
"""The webhook that has a third of all deliveries; every second one is of a DAG that Airflow knows."""

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
}

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
     response_status, attempts)
SELECT lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || lpad(to_hex(n), 19, '0'),
       CASE WHEN n %% 3 = 0 THEN %(busy)s ELSE lpad((1 + n %% %(webhooks)s)::text, 10, '0') END,
       'hook', 'bench_order', CASE WHEN n %% 10 = 0 THEN 'failed' ELSE 'succeeded' END,
       at, '127.0.0.1', '', '[]', convert_to(repeat('x', 200), 'UTF8'), '{}', 202, 1
FROM (SELECT n, now() - n * interval '86400 seconds' / %(deliveries)s AS at
      FROM generate_series(1, %(deliveries)s) AS n) AS spread
"""


def measure(site: Site, scale: Scale) -> list[Row]:
    """The row: the median of each page, and the slowest answer of all."""
    airflow = site.airflow("pages", dispatcher=False)
    fill(site, scale, "pages")
    with running(airflow):
        token = airflow.token()
        connection = http.client.HTTPConnection("127.0.0.1", airflow.port, timeout=60)
        _seconds(connection, token, "/")
        hour_ago = (datetime.now(timezone.utc) - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M")
        taken = {
            name: [
                _seconds(connection, token, path.format(hour_ago=hour_ago)) for _ in range(scale.page_views)
            ]
            for name, path in PAGES.items()
        }
    slowest = max(max(seconds) for seconds in taken.values())
    medians = "<br>".join(
        f"{name}: {milliseconds(statistics.median(seconds))}" for name, seconds in taken.items()
    )
    return [
        Row(
            measured=f"Pages with {scale.webhooks:,} webhooks and {scale.stored:,} deliveries, "
            f"{scale.page_views} views of each",
            ours=f"{medians}<br>slowest of all: {milliseconds(slowest)}",
            goal=f"slowest < {GOAL_SECONDS * 1000:.0f} ms",
            met=slowest < GOAL_SECONDS,
        )
    ]


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
    connection.request("GET", f"/pluginsv2/webhooks{path}", headers={"Authorization": f"Bearer {token}"})
    response = connection.getresponse()
    response.read()
    if response.status != 200:
        raise RuntimeError(f"{path} answered {response.status}")
    return time.perf_counter() - started
