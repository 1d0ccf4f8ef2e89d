"""PgBouncer in front of a PostgreSQL server: each transaction gets any of its connections to the server."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from dev.services import end
from tests.infrastructure.postgres import PostgresCluster, free_port, server_account

START_SECONDS = 15


class PgBouncer:
    """Start it, ask it for a database's URL, stop it."""

    def __init__(self, cluster: PostgresCluster, *, pool_size: int = 4) -> None:
        self.port = free_port()
        self._account = server_account()
        self._folder = Path(tempfile.mkdtemp(prefix="pgbouncer-"))
        self._settings = self._folder / "pgbouncer.ini"
        self._settings.write_text(
            f"""
            [databases]
            * = host=127.0.0.1 port={cluster.port} user=airflow
            [pgbouncer]
            listen_addr = 127.0.0.1
            listen_port = {self.port}
            unix_socket_dir =
            auth_type = any
            pool_mode = transaction
            default_pool_size = {pool_size}
            ignore_startup_parameters = extra_float_digits
            """.replace("            ", "")
        )
        if self._account:
            for path in (self._folder, self._settings):
                os.chown(path, self._account.pw_uid, self._account.pw_gid)
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, database_url: str) -> str:
        """The same database through the pooler, as a client without a password."""
        database = database_url.rpartition("/")[2]
        return f"postgresql+psycopg2://airflow@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Returns when it lets clients in."""
        account = {"user": self._account.pw_uid, "group": self._account.pw_gid} if self._account else {}
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [shutil.which("pgbouncer") or "/usr/sbin/pgbouncer", str(self._settings)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
                **account,
            )
        give_up_at = time.monotonic() + START_SECONDS
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return
            if self._process.poll() is not None or time.monotonic() > give_up_at:
                raise RuntimeError(f"PgBouncer does not start: {(self._folder / 'log').read_text()}")
            time.sleep(0.02)

    def stop(self) -> None:
        """At once: clients lose their connections."""
        if self._process:
            end(self._process, number=signal.SIGTERM, seconds=START_SECONDS)
            self._process = None

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)
