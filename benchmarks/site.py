"""What is measured: PostgreSQL, Airflow's api-server with this package, a DAG and a webhook for it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from benchmarks.client import Target, post
from benchmarks.payload import (
    DAG_ID,
    MAPPING,
    PUSH_FILTER,
    PUSH_MAPPING,
    PUSH_SECRET,
    event,
    push,
    push_headers,
    trigger,
)
from tests.infrastructure.airflow_processes import AirflowProcesses
from tests.infrastructure.databases import migrate
from tests.infrastructure.postgres import PostgresCluster

DAGS_FOLDER = Path(__file__).parent / "dags"
TEMPLATE = "airflow_template"


@dataclass(frozen=True)
class Site:
    """A cluster with a migrated database as template: each measurement gets a copy that nobody has used."""

    cluster: PostgresCluster
    folder: Path
    webhook_path: str
    unsigned_path: str
    signed_path: str
    event_path: str
    """The 1 KB event, to a webhook with GitHub's preset."""

    def airflow(self, name: str, *, dispatcher: bool, **variables: str) -> AirflowProcesses:
        """An Airflow on a fresh copy of the database, with more variables of its environment; not started."""
        url = self.cluster.create_database(name, template=TEMPLATE)
        return _airflow(self.folder / name, url, dispatcher=dispatcher, variables=variables)

    def webhook(self, port: int) -> Target:
        """The request of a sender."""
        return post(port, self.webhook_path, event())

    def push(self, port: int, *, signed: bool) -> Target:
        """GitHub's request, to the webhook with its preset or to the one without."""
        path = self.signed_path if signed else self.unsigned_path
        return post(port, path, push(), headers=push_headers())

    @staticmethod
    def trigger(airflow: AirflowProcesses) -> Target:
        """The request that Airflow's own API takes for the same run."""
        return post(airflow.port, f"/api/v2/dags/{DAG_ID}/dagRuns", trigger(), bearer=airflow.token())

    def url(self, database: str) -> str:
        """The address of a database, as Airflow has it."""
        return self.cluster.url(database)

    def count(self, database: str, query: str) -> int:
        """The number that a query gives."""
        connection = self.cluster.connect(database)
        try:
            cursor = connection.cursor()
            cursor.execute(query)
            row = cursor.fetchone()
            return int(row[0]) if row else 0
        finally:
            connection.close()

    def server_version(self) -> str:
        """PostgreSQL's, in its own words."""
        connection = self.cluster.connect()
        try:
            return str(connection.get_parameter_status("server_version"))
        finally:
            connection.close()


@contextmanager
def built() -> Iterator[Site]:
    """Build the site, and take it away again."""
    with ExitStack() as ended:
        folder = Path(ended.enter_context(tempfile.TemporaryDirectory(prefix="benchmarks-")))
        cluster = PostgresCluster(fsync=True)
        ended.callback(cluster.remove)
        cluster.start()
        url = cluster.create_database(TEMPLATE)
        airflow = _airflow(folder / TEMPLATE, url, dispatcher=False)
        migrate(url, airflow.home)
        command(airflow, "dags", "reserialize")
        secret = folder / "secret"
        secret.write_text(PUSH_SECRET)
        github = ("--preset", "github", "--secret", f"@{secret}", "--filter", PUSH_FILTER)
        yield Site(
            cluster,
            folder,
            webhook_path=create_webhook(airflow, "bench", MAPPING),
            unsigned_path=create_webhook(airflow, "push", PUSH_MAPPING),
            signed_path=create_webhook(airflow, "github push", PUSH_MAPPING, *github),
            event_path=create_webhook(airflow, "github event", MAPPING, *github[:4]),
        )


@contextmanager
def running(airflow: AirflowProcesses) -> Iterator[AirflowProcesses]:
    """The api-server, up for the time of a block."""
    try:
        airflow.start("api-server")
        yield airflow
    finally:
        airflow.stop()


def _airflow(
    home: Path, url: str, *, dispatcher: bool, variables: Mapping[str, str] = MappingProxyType({})
) -> AirflowProcesses:
    usual = {
        "AIRFLOW__INBOUND_WEBHOOKS__DISPATCHER_ENABLED": str(dispatcher),
        # All of the load comes from one address.
        "AIRFLOW__INBOUND_WEBHOOKS__MAX_REQUESTS_PER_SECOND_PER_ADDRESS": "1000000",
        # No scheduler ends the runs.
        "AIRFLOW__INBOUND_WEBHOOKS__MAX_QUEUED_RUNS": "0",
    }
    return AirflowProcesses(home, url, dags_folder=DAGS_FOLDER, env={**usual, **variables})


def create_webhook(
    airflow: AirflowProcesses, name: str, mapping: dict[str, str], *options: str, dag_id: str = DAG_ID
) -> str:
    """Create a webhook; returns the path of its URL."""
    lines = [word for param, source in mapping.items() for word in ("--map", f"{param}={source}")]
    target = ("--dag-id", dag_id) if dag_id else ()
    arguments = ("webhooks", "create", name, *target, *lines, *options, "-o", "json")
    created: Any = json.loads(command(airflow, *arguments))
    webhook = created[0] if isinstance(created, list) else created
    return urlsplit(webhook["url"]).path


def command(airflow: AirflowProcesses, *arguments: str) -> str:
    """Run `airflow …`; returns its standard output."""
    done = airflow.airflow(*arguments)
    if done.returncode != 0:
        raise RuntimeError(f"airflow {' '.join(arguments[:2])} failed:\n{done.stdout}\n{done.stderr}")
    return done.stdout
