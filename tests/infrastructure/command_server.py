"""`airflow …` without the seconds of its imports: ``python -m tests.infrastructure.command_server SOCKET``.

Each command is a fork of a process that has imported everything, with connections, streams and environment of
its own: what `airflow` is in a new process, but for the imports.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from functools import cached_property
from pathlib import Path

from dev.services import end
from tests.infrastructure.environment import CHECKOUT

START_SECONDS = 180
COMMAND_SECONDS = 300
CLIENT = Path(__file__).with_name("command_client.py")
IMPORTED = (
    "airflow.dag_processing.dagbag",
    "airflow.models.serialized_dag",
    "airflow.providers.fab.auth_manager.fab_auth_manager",
    "airflow.providers.fab.www.app",
    "airflow.serialization.serialized_objects",
    "airflow.utils.db",
)
"""What commands import when they run, beside the package itself."""


class CommandServer:
    """The server, which begins at once to import, and its client."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment
        self._folder = Path(tempfile.mkdtemp(prefix="commands-"))
        self._socket = self._folder / "socket"
        self._log = self._folder / "log"
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(self._socket)],
                cwd=CHECKOUT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @cached_property
    def bin(self) -> Path:
        """A folder for PATH with the client as the program `airflow`, once the server takes commands."""
        self._wait()
        program = self._folder / "bin" / "airflow"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -IS {CLIENT} {self._socket} "$@"\n')
        program.chmod(0o755)
        return program.parent

    def run(self, *arguments: str, input: str | None = None) -> subprocess.CompletedProcess[str]:
        """`airflow` with these arguments, to its end."""
        return subprocess.run(
            [str(self.bin / "airflow"), *arguments],
            env=self._environment,
            input=input,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )

    def stop(self) -> None:
        """End it, and every command that still runs."""
        end(self._process)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _wait(self) -> None:
        give_up_at = time.monotonic() + START_SECONDS
        while not self._socket.exists():
            if self._process.poll() is not None or time.monotonic() > give_up_at:
                raise RuntimeError(f"the server for commands does not start:\n{self._log.read_text()}")
            time.sleep(0.05)


def serve(path: str) -> None:
    """Take commands without end, several at once."""
    _import_all()
    with socket.socket(socket.AF_UNIX) as listener:
        # A client that finds the socket can connect to it.
        listener.bind(f"{path}.new")
        listener.listen()
        os.rename(f"{path}.new", path)
        while True:
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                os._exit(_become(connection))
            connection.close()
            _collect_ended()


def _import_all() -> None:
    import inbound_webhooks

    names = (module.name for module in pkgutil.walk_packages(inbound_webhooks.__path__, "inbound_webhooks."))
    for name in (*IMPORTED, *names):
        if not name.endswith(".__main__") and ".migrations" not in name:
            importlib.import_module(name)
    from airflow import plugins_manager
    from airflow.cli import cli_parser

    cli_parser.get_parser()
    plugins_manager.get_flask_plugins()


def _become(connection: socket.socket) -> int:
    """Run the command that comes through a connection; its status, which the client has got."""
    _, streams, _, _ = socket.recv_fds(connection, 1, 3)
    wanted = json.loads(connection.makefile("rb").read())
    for target, stream in enumerate(streams):
        os.dup2(stream, target)
        os.close(stream)
    os.chdir(wanted["folder"])
    os.environ.clear()
    os.environ.update(wanted["environment"])
    status = _run(wanted["arguments"])
    connection.sendall(str(status).encode())
    return status


def _run(arguments: list[str]) -> int:
    from airflow import settings
    from airflow.__main__ import main

    settings.dispose_orm()
    settings.configure_vars()
    settings.configure_orm()
    sys.argv = ["airflow", *arguments]
    try:
        main()
    except SystemExit as exit:
        return _status_of(exit)
    except BaseException:  # noqa: BLE001 - as the interpreter does
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


def _status_of(exit: SystemExit) -> int:
    if exit.code is None or isinstance(exit.code, int):
        return exit.code or 0
    print(exit.code, file=sys.stderr)
    return 1


def _collect_ended() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            continue
    except ChildProcessError:
        return


if __name__ == "__main__":
    serve(sys.argv[1])
