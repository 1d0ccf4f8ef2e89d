"""A PostgreSQL server of our own: in a folder of its own, on a free port, gone when the tests are."""

from __future__ import annotations

import contextlib
import glob
import itertools
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2 import sql

from dev.services import end

START_SECONDS = 30
STOP_SECONDS = 20
LOCK_SECONDS = 30
BIN_FOLDERS = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql*/bin")
SUPERUSER = "airflow"

# Below those that the system gives to clients, and in a random order: a server binds its port seconds after
# it was found free, and neither a client nor another worker of the tests is likely to take it meanwhile.
_RANGE = range(10_000, 32_000)
_PORTS = itertools.cycle(random.SystemRandom().sample(_RANGE, len(_RANGE)))


class PostgresCluster:
    """Start it, ask it for databases, stop it; `remove` also takes its files away.

    With ``fsync`` a commit is on the disk when it returns, as in production; tests do without.
    ``copy_of`` is the data folder of another server, a stopped one: this one begins with its databases.
    ``standby_of`` is a running server: this one follows it until :meth:`promote`.
    ``hba`` are the lines of pg_hba.conf: which clients may connect, and how they log in.
    """

    def __init__(
        self,
        *,
        fsync: bool = False,
        options: tuple[str, ...] = (),
        copy_of: Path | None = None,
        standby_of: PostgresCluster | None = None,
        hba: tuple[str, ...] = (),
    ) -> None:
        self.port = free_port()
        self._copy_of = copy_of
        self._standby_of = standby_of
        self._hba = hba
        self.folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        self._account = server_account()
        if self._account:
            os.chown(self.folder, self._account.pw_uid, self._account.pw_gid)
        durability = () if fsync else ("fsync=off", "synchronous_commit=off", "full_page_writes=off")
        self._options = (*durability, *options)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> Path:
        return self.folder / "server.log"

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def url(self, database: str = "postgres") -> str:
        return f"postgresql+psycopg2://{SUPERUSER}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Returns when the server lets clients in."""
        if not self.data.exists():
            self._initialise()
            if self._hba:
                (self.data / "pg_hba.conf").write_text("\n".join((*self._hba, "local all all trust", "")))
        settings = ("listen_addresses=127.0.0.1", f"unix_socket_directories={self.folder}", *self._options)
        options = [argument for setting in settings for argument in ("-c", setting)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [_binary("postgres"), "-D", str(self.data), "-p", str(self.port), *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                **self._as_server_account(),
            )
        self._wait_until_ready()

    def stop(self) -> None:
        """Fast shutdown: clients lose their connections, what was committed stays."""
        if self._process:
            end(self._process, number=signal.SIGINT, seconds=STOP_SECONDS)
            self._process = None

    def crash(self) -> None:
        """Immediate shutdown, which is a crash: the next start has to recover from the write-ahead log."""
        if self._process:
            end(self._process, number=signal.SIGQUIT, seconds=STOP_SECONDS)
            self._process = None

    def restart(self) -> None:
        self.stop()
        self.start()

    def configure(self, *options: str) -> None:
        """Add options, ``name=value``; they count from the next start."""
        self._options = (*self._options, *options)

    def promote(self) -> None:
        """Make a standby the primary; returns when it accepts writes."""
        with contextlib.closing(self.connect()) as connection:
            connection.cursor().execute("SELECT pg_promote(true, 30)")

    def wait_until_applied(self, primary: PostgresCluster) -> None:
        """Wait until this standby has all that its primary has committed, for LOCK_SECONDS at most."""
        with contextlib.closing(primary.connect()) as connection:
            cursor = connection.cursor()
            cursor.execute("SELECT pg_current_wal_insert_lsn()")
            written = cursor.fetchone()[0]
        give_up_at = time.monotonic() + LOCK_SECONDS
        with contextlib.closing(self.connect()) as connection:
            cursor = connection.cursor()
            while True:
                cursor.execute("SELECT pg_last_wal_replay_lsn() >= %s", (written,))
                if cursor.fetchone()[0]:
                    return
                assert time.monotonic() < give_up_at, "the standby does not follow"
                time.sleep(0.01)

    def add_file(self, name: str, content: bytes) -> Path:
        """Put a file beside the data that only the server may read, such as a key."""
        path = self.folder / name
        path.touch(mode=0o600)
        path.write_bytes(content)
        if self._account:
            os.chown(path, self._account.pw_uid, self._account.pw_gid)
        return path

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def create_database(self, name: str, *, template: str | None = None) -> str:
        """Make a database and return its URL; no client may be connected to the template."""
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        self._administer(statement.format(sql.Identifier(name), sql.Identifier(template or "template0")))
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Drop it, connected clients or not."""
        self._administer(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def connect(self, database: str = "postgres") -> psycopg2.extensions.connection:
        """A connection for looking from outside; each statement commits."""
        # By the socket, where no password is asked for.
        connection = psycopg2.connect(
            host=str(self.folder), port=self.port, user=SUPERUSER, dbname=database, connect_timeout=5
        )
        connection.autocommit = True
        return connection

    def wait_until_blocked(self, count: int = 1) -> None:
        """Wait until that many connections wait for a lock, for LOCK_SECONDS at most."""
        give_up_at = time.monotonic() + LOCK_SECONDS
        with contextlib.closing(self.connect()) as connection:
            cursor = connection.cursor()
            while True:
                cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
                waiting = cursor.fetchone()[0]
                if waiting >= count:
                    return
                assert time.monotonic() < give_up_at, f"{waiting} connections wait for a lock, not {count}"
                time.sleep(0.01)

    def _initialise(self) -> None:
        if self._standby_of:
            source = ("-h", "127.0.0.1", "-p", str(self._standby_of.port), "-U", SUPERUSER)
            backup = (
                _binary("pg_basebackup"),
                "-D",
                str(self.data),
                "-R",
                "-X",
                "stream",
                "--no-sync",
                *source,
            )
            subprocess.run([*backup, "--checkpoint=fast"], check=True, **self._as_server_account())
            return
        if self._copy_of:
            subprocess.run(["cp", "-a", str(self._copy_of), str(self.data)], check=True)
            return
        done = subprocess.run(
            [
                *(_binary("initdb"), "-D", str(self.data), "-U", SUPERUSER),
                *("--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"),
            ],
            capture_output=True,
            text=True,
            **self._as_server_account(),
        )
        if done.returncode != 0:
            raise RuntimeError(f"initdb failed: {done.stderr}")

    def _wait_until_ready(self) -> None:
        give_up_at = time.monotonic() + START_SECONDS
        while True:
            try:
                self.connect().close()
                return
            except psycopg2.OperationalError as error:
                if self._has_ended() or time.monotonic() > give_up_at:
                    said = self.log.read_text()
                    self.stop()
                    raise RuntimeError(f"PostgreSQL does not start: {said}") from error
                time.sleep(0.02)

    def _has_ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def _administer(self, statement: sql.Composed) -> None:
        connection = self.connect()
        try:
            connection.cursor().execute(statement)
        finally:
            connection.close()

    def _as_server_account(self) -> dict[str, Any]:
        common: dict[str, Any] = {"cwd": self.folder, "start_new_session": True}
        if not self._account:
            return common
        account: dict[str, Any] = {"user": self._account.pw_uid, "group": self._account.pw_gid}
        return common | account | {"extra_groups": ()}


@contextlib.contextmanager
def running_cluster(**options: Any) -> Iterator[PostgresCluster]:
    """A server with the options of :class:`PostgresCluster`, gone at the end."""
    cluster = PostgresCluster(**options)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.remove()


def free_port() -> int:
    """A port of 127.0.0.1 that is free at the moment."""
    for port in _PORTS:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("every port is in use")


def server_account() -> pwd.struct_passwd | None:
    """The account to run as, since PostgreSQL refuses root; None is our own."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    return names.get("postgres") or names["nobody"]


def _binary(name: str) -> str:
    """The path of a program of the server: of the newest version that is installed, else what PATH has."""
    folders = [folder for pattern in BIN_FOLDERS for folder in glob.glob(pattern)]
    found = [path for folder in sorted(folders, reverse=True) if (path := shutil.which(name, path=folder))]
    on_path = shutil.which(name)
    if not found and not on_path:
        raise FileNotFoundError(f"PostgreSQL's {name} is missing: make system, or install postgresql")
    return on_path or found[0]
