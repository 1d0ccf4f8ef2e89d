"""Servers as deployments have them: TLS, passwords, poolers, standbys."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.infrastructure.receiver_fixtures import asgi, configure

__all__ = ["asgi", "configure"]

ORDER = b'{"number": 1}'
PASSWORD = "p@:/% '\"\\+ü"


@pytest.fixture(scope="session")
def stored_hook():
    """A function that stores DAG and webhook in a database once, and returns the webhook."""
    stored = {}

    def stored_hook(url):
        from tests.infrastructure.dags_builder import store_dag
        from tests.infrastructure.databases import TEMPLATE
        from tests.infrastructure.webhooks_builder import store_webhook

        assert TEMPLATE in url
        if url not in stored:
            with connected(url):
                store_dag("orders")
                stored[url] = store_webhook()
        return stored[url]

    return stored_hook


@contextmanager
def connected(url, monkeypatch=None, **settings):
    """This process's Airflow on a database, with these settings of the section [database]."""
    from tests.infrastructure.databases import connect_airflow, disconnect_airflow

    for name, value in settings.items():
        monkeypatch.setenv(f"AIRFLOW__DATABASE__{name.upper()}", value)
    connect_airflow(url)
    try:
        yield
    finally:
        disconnect_airflow()


def problems():
    """The codes of this process's problems."""
    from inbound_webhooks.monitoring.environment import ENVIRONMENT

    return [problem.code for problem in ENVIRONMENT.problems()]


def open_connections(receiver):
    """The idle connections of an endpoint."""
    return [held for held in receiver.store._backend._connections._free._queue if held is not None]


@dataclass(frozen=True)
class SecuredServer:
    """A server with TLS, and logins of several kinds; the files belong to the client."""

    port: int
    socket_folder: Path
    ca_file: Path
    other_ca_file: Path
    passfile: Path
    hook: object

    def url(self, rest: str) -> str:
        """A URL whose part behind the scheme is ``rest``, filled."""
        return self.filled(f"postgresql+psycopg2://{rest}")

    def filled(self, text: str) -> str:
        """The text with its placeholders filled: ``{here}`` is host and port, ``{db}`` the database."""
        from tests.infrastructure.databases import TEMPLATE

        return text.format(
            here=f"127.0.0.1:{self.port}",
            port=self.port,
            db=TEMPLATE,
            socket=self.socket_folder,
            ca=self.ca_file,
            other_ca=self.other_ca_file,
            passfile=self.passfile,
        )


@pytest.fixture(scope="session")
def secured(migrated_cluster, tmp_path_factory, stored_hook):
    from cryptography.hazmat.primitives import serialization

    from tests.infrastructure.databases import TEMPLATE
    from tests.infrastructure.postgres import PostgresCluster
    from tests.infrastructure.tls_server import certificate, pem

    folder = tmp_path_factory.mktemp("client")
    made, key = certificate("localhost")
    other, _ = certificate("localhost")
    cluster = PostgresCluster(
        copy_of=migrated_cluster,
        hba=(
            "hostssl all tls_only 127.0.0.1/32 trust",
            "hostnossl all plain_only 127.0.0.1/32 trust",
            "host all secret 127.0.0.1/32 scram-sha-256",
            "host all airflow 127.0.0.1/32 trust",
        ),
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    files = {"server.crt": pem(made), "server.key": private}
    paths = {name: cluster.add_file(name, content) for name, content in files.items()}
    cluster.configure("ssl=on", f"ssl_cert_file={paths['server.crt']}", f"ssl_key_file={paths['server.key']}")
    try:
        cluster.start()
        connection = cluster.connect()
        for role in ("tls_only", "plain_only"):
            connection.cursor().execute(f"CREATE ROLE {role} SUPERUSER LOGIN")
        connection.cursor().execute("CREATE ROLE secret SUPERUSER LOGIN PASSWORD %s", (PASSWORD,))
        connection.close()
        ca_file, other_ca_file, passfile = folder / "ca.pem", folder / "other.pem", folder / "passfile"
        ca_file.write_bytes(pem(made))
        other_ca_file.write_bytes(pem(other))
        escaped = PASSWORD.replace("\\", "\\\\").replace(":", "\\:")
        passfile.write_text(f"*:*:*:secret:{escaped}\n")
        passfile.chmod(0o600)
        hook = stored_hook(cluster.url(TEMPLATE))
        yield SecuredServer(cluster.port, cluster.folder, ca_file, other_ca_file, passfile, hook)
    finally:
        cluster.remove()
