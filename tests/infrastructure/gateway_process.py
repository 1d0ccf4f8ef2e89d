"""The gateway as people start it: `airflow webhooks gateway`, in a process group of its own."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from http.client import HTTPConnection
from pathlib import Path
from urllib.request import urlopen

from dev.services import end
from tests.infrastructure.environment import process_environment
from tests.infrastructure.postgres import free_port

START_SECONDS = 90
ANSWER_SECONDS = 20


class GatewayProcess:
    """``settings`` are options of ours; with ``figures`` it shows them on a port of their own."""

    def __init__(
        self,
        home: Path,
        database_url: str,
        *,
        workers: int = 1,
        figures: bool = False,
        variables: dict[str, str] | None = None,
        **settings: object,
    ) -> None:
        self.port = free_port()
        self.figures_port = free_port() if figures else None
        self.log = home / f"gateway-{self.port}.log"
        home.mkdir(parents=True, exist_ok=True)
        options = {f"AIRFLOW__INBOUND_WEBHOOKS__{name.upper()}": str(it) for name, it in settings.items()}
        more = ["--metrics-port", str(self.figures_port)] if figures else []
        command = ["gateway", "--port", str(self.port), "--workers", str(workers), *more]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [str(Path(sys.executable).parent / "airflow"), "webhooks", *command],
                env=process_environment(home, database_url, **options, **(variables or {})),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait(self) -> GatewayProcess:
        """Returns when it answers."""
        give_up_at = time.monotonic() + START_SECONDS
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > give_up_at:
                raise RuntimeError(f"the gateway does not open:\n{self.log.read_text()}")
            time.sleep(0.1)
        return self

    @property
    def pid(self) -> int:
        return self.process.pid

    def stop(self) -> None:
        end(self.process)

    def ask_to_stop(self) -> None:
        """SIGTERM to the parent alone, as a service manager does."""
        self.process.send_signal(signal.SIGTERM)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=ANSWER_SECONDS)

    def say(self, *parts: bytes) -> bytes:
        """Send these bytes; return what comes back until the server has no more to say."""
        with self.connect() as connection:
            for part in parts:
                connection.sendall(part)
            return until_closed(connection)

    def request(
        self, method: str, path: str, body: bytes = b"", **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers in lower case, and body."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_SECONDS)
        try:
            names = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, {"Content-Type": "application/json"} | names)
            response = connection.getresponse()
            return response.status, {name.lower(): it for name, it in response.getheaders()}, response.read()
        finally:
            connection.close()

    def figures(self) -> str:
        with urlopen(f"http://127.0.0.1:{self.figures_port}/metrics", timeout=ANSWER_SECONDS) as response:
            return str(response.read().decode())

    def _answers(self) -> bool:
        try:
            return self.request("GET", "/webhook/nobody")[0] == 404
        except OSError:
            return False


def until_closed(connection: socket.socket) -> bytes:
    """What comes until the other side closes, a reset included."""
    received = b""
    try:
        while part := connection.recv(65536):
            received += part
    except ConnectionResetError:
        pass  # closed with bytes of ours unread: the answer, if any, came before
    return received
