"""A receiver as a process: ``python -m tests.infrastructure.endpoint_process PORT`` from the checkout."""

from __future__ import annotations

import subprocess
import sys
import time
from http.client import HTTPConnection
from pathlib import Path

from dev.services import end
from tests.infrastructure.environment import CHECKOUT, process_environment
from tests.infrastructure.postgres import free_port

START_SECONDS = 60


class EndpointProcess:
    """The endpoint behind uvicorn, without a dispatcher; ``settings`` are options of ours."""

    def __init__(self, home: Path, database_url: str, **settings: object) -> None:
        self.port = free_port()
        self._log = home / f"endpoint-{self.port}.log"
        options = {f"AIRFLOW__INBOUND_WEBHOOKS__{name.upper()}": str(it) for name, it in settings.items()}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.infrastructure.endpoint_process", str(self.port)],
                cwd=CHECKOUT,
                env=process_environment(home, database_url, **options),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait(self) -> None:
        """Returns when it answers."""
        give_up_at = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > give_up_at:
                raise RuntimeError(f"the endpoint does not open:\n{self._log.read_text()}")
            time.sleep(0.1)

    @property
    def pid(self) -> int:
        return self._process.pid

    def stop(self) -> None:
        end(self._process)

    def _answers(self) -> bool:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/pluginsv2/webhook/nobody")
            return connection.getresponse().status == 404
        except OSError:
            return False
        finally:
            connection.close()


def main(port: int) -> None:
    import uvicorn

    from tests.infrastructure.asgi_endpoint import AsgiEndpoint

    uvicorn.run(AsgiEndpoint().app, host="127.0.0.1", port=port, log_level="warning")


if __name__ == "__main__":
    main(int(sys.argv[1]))
