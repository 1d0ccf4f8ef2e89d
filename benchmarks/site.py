"""What is measured: PostgreSQL, Airflow's api-server with this package, a DAG and a webhook for it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.client import Target, post
from benchmarks.payload import DAG_ID, MAPPING, event, trigger
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

    def airflow(self, name: str, *, dispatcher: bool) -> AirflowProcesses:
        """An Airflow on a fresh copy of the database; not started."""
        url = self.cluster.create_database(name, template=TEMPLATE)
        return _airflow(self.folder / name, url, dispatcher=dispatcher)

    def webhook(self, port: int) -> Target:
        """The request of a sender."""
        return post(port, self.webhook_path, event())

    @staticmethod
    def trigger(airflow: AirflowProcesses) -> Target:
        """The request that Airflow's own API takes for the same run."""
        return post(airflow.port, f"/api/v2/dags/{DAG_ID}/dagRuns", trigger(), bearer=airflow.token())

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
        _command(airflow, "dags", "reserialize")
        yield Site(cluster, folder, _create_webhook(airflow))


@contextmanager
def running(airflow: AirflowProcesses) -> Iterator[AirflowProcesses]:
    """The api-server, up for the time of a block."""
    try:
        airflow.start("api-server")
        yield airflow
    finally:
        airflow.stop()


def _airflow(home: Path, url: str, *, dispatcher: bool) -> AirflowProcesses:
    variables = {"AIRFLOW__INBOUND_WEBHOOKS__DISPATCHER_ENABLED": str(dispatcher)}
    return AirflowProcesses(home, url, dags_folder=DAGS_FOLDER, env=variables)


def _create_webhook(airflow: AirflowProcesses) -> str:
    mapping = [word for name, source in MAPPING.items() for word in ("--map", f"{name}={source}")]
    output = _command(airflow, "webhooks", "create", "bench", "--dag-id", DAG_ID, *mapping, "-o", "json")
    created: Any = json.loads(output)
    webhook = created[0] if isinstance(created, list) else created
    return urlsplit(webhook["url"]).path


def _command(airflow: AirflowProcesses, *arguments: str) -> str:
    done = airflow.airflow(*arguments)
    if done.returncode != 0:
        raise RuntimeError(f"airflow {' '.join(arguments[:2])} failed:\n{done.stdout}\n{done.stderr}")
    return done.stdout
