"""A Redis server of our own: on a free port, without files, gone when the tests are."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time

from dev.services import end
from tests.infrastructure.postgres import free_port

START_SECONDS = 15


class RedisServer:
    """Start it, stop it, start it again: what it had counted is gone then."""

    def __init__(self) -> None:
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Returns when the server lets clients in."""
        program = shutil.which("redis-server")
        if program is None:
            raise FileNotFoundError("redis-server is missing: make system, or install redis")
        options = ("--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no")
        self._process = subprocess.Popen(
            [program, *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        give_up_at = time.monotonic() + START_SECONDS
        while not self._lets_in():
            if self._process.poll() is not None or time.monotonic() > give_up_at:
                raise RuntimeError("Redis does not start")
            time.sleep(0.02)

    def stop(self) -> None:
        if self._process:
            end(self._process)
            self._process = None

    def _lets_in(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16) == b"+PONG\r\n"
        except OSError:
            return False
