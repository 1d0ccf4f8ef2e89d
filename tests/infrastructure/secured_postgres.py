"""A PostgreSQL with TLS, an authority of its own, and logins of several kinds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization

from tests.infrastructure.databases import TEMPLATE
from tests.infrastructure.postgres import PostgresCluster
from tests.infrastructure.tls_server import certificate, pem

PASSWORD = "p@:/% '\"\\+ü"
HBA = (
    "hostssl all tls_only 127.0.0.1/32 trust",
    "hostnossl all plain_only 127.0.0.1/32 trust",
    "host all secret 127.0.0.1/32 scram-sha-256",
    "host all airflow 127.0.0.1/32 trust",
)


@dataclass
class SecuredServer:
    """A server with TLS; the files belong to the client. ``hook`` is a webhook that a test has stored."""

    port: int
    socket_folder: Path
    ca_file: Path
    other_ca_file: Path
    passfile: Path
    hook: Any = None

    def url(self, rest: str) -> str:
        """A URL whose part behind the scheme is ``rest``, filled."""
        return self.filled(f"postgresql+psycopg2://{rest}")

    def filled(self, text: str) -> str:
        """The text with its placeholders filled: ``{here}`` is host and port, ``{db}`` the database."""
        return text.format(
            here=f"127.0.0.1:{self.port}",
            port=self.port,
            db=TEMPLATE,
            socket=self.socket_folder,
            ca=self.ca_file,
            other_ca=self.other_ca_file,
            passfile=self.passfile,
        )


@contextmanager
def running_secured(migrated_cluster: Path, folder: Path) -> Iterator[SecuredServer]:
    """Start one with a migrated database; the client's files are written to the folder."""
    made, key = certificate("localhost")
    cluster = PostgresCluster(copy_of=migrated_cluster, hba=HBA)
    _configure_tls(cluster, pem(made), key)
    try:
        cluster.start()
        _create_roles(cluster)
        yield SecuredServer(cluster.port, cluster.folder, *_client_files(folder, pem(made)))
    finally:
        cluster.remove()


def _configure_tls(cluster: PostgresCluster, made: bytes, key: Any) -> None:
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    files = {"server.crt": made, "server.key": private}
    paths = {name: cluster.add_file(name, content) for name, content in files.items()}
    cluster.configure("ssl=on", f"ssl_cert_file={paths['server.crt']}", f"ssl_key_file={paths['server.key']}")


def _create_roles(cluster: PostgresCluster) -> None:
    connection = cluster.connect()
    for role in ("tls_only", "plain_only"):
        connection.cursor().execute(f"CREATE ROLE {role} SUPERUSER LOGIN")
    connection.cursor().execute("CREATE ROLE secret SUPERUSER LOGIN PASSWORD %s", (PASSWORD,))
    connection.close()


def _client_files(folder: Path, made: bytes) -> tuple[Path, Path, Path]:
    """The certificate of the authority, that of another one, and a file with the password."""
    ca_file, other_ca_file, passfile = folder / "ca.pem", folder / "other.pem", folder / "passfile"
    other, _ = certificate("localhost")
    ca_file.write_bytes(made)
    other_ca_file.write_bytes(pem(other))
    escaped = PASSWORD.replace("\\", "\\\\").replace(":", "\\:")
    passfile.write_text(f"*:*:*:secret:{escaped}\n")
    passfile.chmod(0o600)
    return ca_file, other_ca_file, passfile
