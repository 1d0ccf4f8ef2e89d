"""What is killed: gateway, api-server and dispatchers as real processes on a database of their own."""

from __future__ import annotations

import os
import signal
import time
from functools import partial
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from tests.acceptance.chaos.checker import waiting
from tests.acceptance.chaos.killer import Victim
from tests.acceptance.chaos.stream import Endpoint, Target
from tests.infrastructure.airflow_processes import AirflowProcesses
from tests.infrastructure.postgres import PostgresCluster, free_port

START_SECONDS = 240
DRAIN_SECONDS = 180
GATEWAY_WORKERS = 2
MAPPING = {"number": "${Webhook::Body.number}", "delivery": "${Webhook::Delivery.id}"}

LOOK_SECONDS = 10


class Site:
    """Processes by name, each of which can be killed and is then started again at once."""

    def __init__(
        self, home: Path, database_url: str, *, dispatchers: int, api_server: bool, **options: Any
    ) -> None:
        self.database_url = database_url
        # No scheduler ends the runs, of which the dispatchers would create no more.
        unlimited = {"AIRFLOW__INBOUND_WEBHOOKS__MAX_QUEUED_RUNS": "0"}
        self.airflow = AirflowProcesses(home, database_url, **{"env": unlimited} | options)
        self.gateway = Endpoint("gateway", free_port(), "/webhook")
        self.api_server = Endpoint("api-server", self.airflow.port, "/pluginsv2/webhook")
        self.endpoints = [self.gateway, *([self.api_server] if api_server else [])]
        self.dispatchers = [f"dispatcher-{number}" for number in range(1, dispatchers + 1)]
        self._commands = {
            "gateway": ("webhooks", "gateway", *_at(self.gateway), "--workers", str(GATEWAY_WORKERS)),
            **dict.fromkeys(self.dispatchers, ("webhooks", "dispatcher")),
        }
        if api_server:
            self._commands["api-server"] = ("api-server", *_at(self.api_server), "--workers", "1")
        self._log_begins: dict[str, int] = {}

    def start(self) -> None:
        """Start all, and return when all work."""
        for name in self._commands:
            self.launch(name)
        self.wait_until_up()

    def wait_until_up(self) -> None:
        """Return when all work, whatever was killed last."""
        give_up_at = time.monotonic() + START_SECONDS
        while not all(map(self.is_up, self._commands)):
            if time.monotonic() > give_up_at:
                raise TimeoutError(
                    f"not all is up after {START_SECONDS} s: the logs are in {self.airflow.home}"
                )
            self.revive()
            time.sleep(0.2)

    def revive(self) -> None:
        """Start what has ended by itself, as a supervisor does."""
        for name, pid in self.airflow.running().items():
            if has_ended(pid):
                self.replace(name)

    def wait_until_drained(self) -> None:
        """Return when every delivery has its run."""
        self.airflow.wait_for(
            lambda: waiting(self.database_url) == 0, what="the last delivery's run", seconds=DRAIN_SECONDS
        )

    def stop(self) -> None:
        """Kill them all: how they end has been seen, and an orderly end takes seconds."""
        for name in list(self.airflow.running()):
            self.airflow.kill(name)

    def victims(self) -> dict[str, Victim]:
        """Every process, and one worker of the gateway's, which its parent starts again."""
        named = {
            name: Victim(partial(self.is_up, name), partial(self.replace, name)) for name in self._commands
        }
        is_up = partial(self.is_up, "gateway")
        # Most often, for it is back soonest and the stream goes on meanwhile.
        return named | {"gateway's worker": Victim(is_up, self.kill_a_worker, share=6)}

    def is_up(self, name: str) -> bool:
        """Whether a process has got through its start."""
        endpoints = {endpoint.name: endpoint for endpoint in self.endpoints}
        return _answers(endpoints[name]) if name in endpoints else self._has_started(name)

    def replace(self, name: str) -> None:
        """SIGKILL for a process and all that it started, and a new one, as a supervisor does."""
        self.airflow.kill(name)
        self.launch(name)

    def leave_without_dispatchers(self, seconds: float) -> None:
        """SIGKILL for all dispatchers, and new ones only after a while."""
        for name in self.dispatchers:
            self.airflow.kill(name)
        time.sleep(seconds)
        for name in self.dispatchers:
            self.launch(name)

    def kill_a_worker(self) -> None:
        """SIGKILL for the gateway's eldest worker."""
        workers = sorted(_spawned_by(self.airflow.running()["gateway"]))
        if workers:
            os.kill(workers[0], signal.SIGKILL)

    def launch(self, name: str) -> None:
        """Start one of the processes."""
        log = self.airflow.log(name)
        self._log_begins[name] = log.stat().st_size if log.exists() else 0
        self.airflow.launch(name, *self._commands[name])

    def _has_started(self, name: str) -> bool:
        said = self.airflow.log(name).read_bytes()[self._log_begins[name] :]
        return b"action=dispatcher_started" in said


def crash(cluster: PostgresCluster, site: Site) -> Victim:
    """The server itself: killed without a shutdown, and started again from its write-ahead log.

    Only while an endpoint is open: nothing else would notice, and Airflow does not start without it.
    """

    def kill() -> None:
        cluster.crash()
        cluster.start()

    return Victim(lambda: any(map(_answers, site.endpoints)), kill, share=2)


def store_targets(database_url: str) -> list[Target]:
    """Make the DAG and two webhooks: one knows an event again by its number, the other does not."""
    from tests.infrastructure.dags_builder import store_dag
    from tests.infrastructure.databases import connect_airflow, disconnect_airflow
    from tests.infrastructure.webhooks_builder import store_webhook

    connect_airflow(database_url)
    try:
        store_dag("orders")
        known = store_webhook("known", mapping=MAPPING, dedup="${Webhook::Body.number}")
        plain = store_webhook("plain", mapping=MAPPING)
    finally:
        disconnect_airflow()
    return [Target(f"/{hook.id}/{hook.token}", hook is known) for hook in (known, plain)]


def _at(endpoint: Endpoint) -> tuple[str, ...]:
    return ("--host", "127.0.0.1", "--port", str(endpoint.port))


def _answers(endpoint: Endpoint) -> bool:
    connection = HTTPConnection("127.0.0.1", endpoint.port, timeout=LOOK_SECONDS)
    try:
        connection.request("GET", f"{endpoint.prefix}/unknown")
        return connection.getresponse().status == 404
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def has_ended(pid: int) -> bool:
    """Whether a process that this one has started has exited."""
    # Left uncollected: `Services` ends what is left of its session first.
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _spawned_by(parent: int) -> list[int]:
    """Worker processes of uvicorn's: children of its own that Python's multiprocessing has spawned."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            is_child = int(stat.read_text().rpartition(")")[2].split()[1]) == parent
            if is_child and b"spawn_main" in stat.with_name("cmdline").read_bytes():
                found.append(int(stat.parent.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found
