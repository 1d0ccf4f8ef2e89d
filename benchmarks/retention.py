"""How long old deliveries take to go, and how long somebody who accepts one meanwhile waits."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

from benchmarks.figures import Row, latencies
from benchmarks.scale import Scale
from benchmarks.site import Site

SECONDS = 3600
CHECKOUT = Path(__file__).resolve().parents[1]
INSERTS_A_SECOND = 20

FILL = """
INSERT INTO inbound_webhook_delivery
    (id, webhook_id, webhook_name, dag_id, state, received_at, source_ip, query_string, headers, body, conf,
     response_status, attempts)
SELECT lpad(to_hex(n), 32, '0'), 'bench', 'bench', 'bench', 'succeeded', now() - interval '40 days',
       '127.0.0.1', '', '[]', convert_to(repeat('x', 1000), 'UTF8'), '{}', 202, 1
FROM generate_series(1, %(rows)s) AS n
"""
INSERT = """
INSERT INTO inbound_webhook_delivery
    (id, webhook_id, webhook_name, dag_id, state, received_at, source_ip, query_string, headers, body,
     response_status, attempts)
VALUES (%(id)s, 'bench', 'bench', 'bench', 'dispatched', now(), '127.0.0.1', '', '[]', '', 202, 1)
"""


def measure(site: Site, scale: Scale) -> tuple[list[Row], list[str]]:
    """The row, and how many rows are left in the end."""
    airflow = site.airflow("retention", dispatcher=False)
    airflow.home.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.retention", str(scale.retained)],
        cwd=CHECKOUT,
        env=airflow.environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"the retention failed:\n{done.stdout}\n{done.stderr}")
    found = json.loads(done.stdout.splitlines()[-1])
    row = Row(
        measured=f"Retention: {scale.retained:,} old deliveries go, in batches of 500 with pauses",
        ours=f"{found['seconds']:,.0f} s<br>inserts meanwhile {latencies(found['inserts'])}",
    )
    left = site.count("retention", "SELECT count(*) FROM inbound_webhook_delivery WHERE state = 'succeeded'")
    verdict = "equal" if left == 0 and found["deleted"] == scale.retained else "**not equal**"
    return [row], [f"Retention: {scale.retained:,} old deliveries, {found['deleted']:,} deleted ({verdict})."]


def main(rows: int) -> None:
    """Fill, clean and insert; prints one line of JSON."""
    from airflow import settings

    from inbound_webhooks.dispatch.retention import RetentionJob
    from inbound_webhooks.settings import Settings

    with settings.engine.begin() as connection:
        connection.exec_driver_sql(FILL, {"rows": rows})
    ended, inserts = threading.Event(), []
    inserting = threading.Thread(target=_insert, args=(ended, inserts))
    inserting.start()
    started = time.perf_counter()
    deleted = RetentionJob(Settings.load()).clean()
    seconds = time.perf_counter() - started
    ended.set()
    inserting.join()
    print(json.dumps({"seconds": seconds, "deleted": deleted, "inserts": inserts}))


def _insert(ended: threading.Event, took: list[float]) -> None:
    """One delivery after the other at a steady pace, each in a transaction of its own."""
    from airflow import settings

    while not ended.wait(1 / INSERTS_A_SECOND):
        started = time.perf_counter()
        with settings.engine.begin() as connection:
            connection.exec_driver_sql(INSERT, {"id": uuid.uuid4().hex})
        took.append(time.perf_counter() - started)


if __name__ == "__main__":
    main(int(sys.argv[1]))
