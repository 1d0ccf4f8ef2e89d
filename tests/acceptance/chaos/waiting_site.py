"""An Airflow with a scheduler and workers, each process of which can be killed."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from dev.rest import send
from dev.services import session_members
from tests.acceptance.chaos.checker import ask
from tests.acceptance.chaos.site import Site, has_ended

PARKED_STATES = ("awaiting_input", "deferred")
TASKS_AT_ONCE = 10
LOOK_SECONDS = 0.2
STEP_SECONDS = 300
TITLE = re.compile(r"airflow worker -- LocalExecutor: ([0-9a-f-]{36})")
CELERY_WORKER = ("--concurrency", str(TASKS_AT_ONCE), "--skip-serve-logs", "--without-gossip")

# Airflow's own times are minutes. A worker that has died is noticed by the heartbeats that are missing, a
# scheduler by its successor, and a task that a dead worker had been given by the time that it stays queued.
IMPATIENT = {
    "AIRFLOW__CORE__PARALLELISM": str(TASKS_AT_ONCE),
    "AIRFLOW__INBOUND_WEBHOOKS__BODY_TIMEOUT_SECONDS": "60",
    "AIRFLOW__INBOUND_WEBHOOKS__DISPATCHER_ENABLED": "False",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "10",
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "30",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "5",
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "2",
}


@dataclass(frozen=True)
class Task:
    """Where the task of a run stands; ``wait_id`` is that of its current try."""

    wait_id: str
    try_number: int
    state: str | None
    is_parked: bool


class WaitingSite(Site):
    """A site whose DAGs wait; its workers are the LocalExecutor's, or of Celery where a broker is given."""

    def __init__(self, home: Path, database_url: str, *, jobs_url: str, broker_url: str | None) -> None:
        env = IMPATIENT | {"JOBS_URL": jobs_url}
        if broker_url is not None:
            env |= {
                "AIRFLOW__CELERY__BROKER_URL": broker_url,
                "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            }
        folder = Path(__file__).parent / "waiting_dags"
        super().__init__(home, database_url, dispatchers=1, api_server=True, env=env, dags_folder=folder)
        self.base = f"http://127.0.0.1:{self.gateway.port}"
        self.airflow.environment["AIRFLOW__INBOUND_WEBHOOKS__PUBLIC_URL"] = self.base
        self._commands |= {
            "scheduler": ("scheduler", "--skip-serve-logs"),
            "dag-processor": ("dag-processor",),
            "triggerer": ("triggerer", "--skip-serve-logs"),
        }
        self._is_celery = broker_url is not None
        self._workers = 0
        if self._is_celery:
            self._commands["worker"] = ()

    def launch(self, name: str) -> None:
        """Start one of the processes; a worker of Celery gets another name than the one that was killed."""
        if name == "worker":
            self._workers += 1
            named = f"worker-{self._workers}"
            files = ("--celery-hostname", f"{named}@%h", "--pid", str(self.airflow.home / f"{named}.pid"))
            self._commands[name] = ("celery", "worker", *files, *CELERY_WORKER)
        super().launch(name)

    def is_up(self, name: str) -> bool:
        """Of a scheduler or a worker, whether it runs: it needs no other process to notice it."""
        if name in ("gateway", "api-server", "dispatcher-1"):
            return super().is_up(name)
        return not has_ended(self.airflow.running()[name])

    def strike(self, name: str) -> None:
        """SIGKILL for a process and all that it started; what supervises it starts it again."""
        if name == "worker" and not self._is_celery:
            self.wait_for(self._kill_local_workers, what="a worker to kill", seconds=STEP_SECONDS)
        else:
            self.replace(name)

    def wait_for(self, found: Callable[[], Any], *, what: str, seconds: float) -> Any:
        """What the function returns, once that is true; meanwhile what ends by itself is started again."""
        give_up_at = time.monotonic() + seconds
        while not (result := found()):
            if time.monotonic() > give_up_at:
                raise TimeoutError(f"waited {seconds} s for {what}: the logs are in {self.airflow.home}")
            self.revive()
            time.sleep(LOOK_SECONDS)
        return result

    def trigger(self, dag_id: str, run_id: str) -> None:
        """Start a run."""
        body = json.dumps({"dag_run_id": run_id, "logical_date": None}).encode()
        token = self.airflow.rest.token
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        response = send(f"{self.airflow.url}/api/v2/dags/{dag_id}/dagRuns", data=body, headers=headers)
        assert response.status == 200, response.body

    def tasks(self) -> dict[str, Task]:
        """Run id -> the run's only task."""
        query = "SELECT id, run_id, try_number, state, next_method FROM task_instance"
        rows = ask(self.database_url, query)
        return {
            row.run_id: Task(
                UUID(str(row.id)).hex,
                row.try_number,
                row.state,
                row.state in PARKED_STATES and row.next_method == "complete_wait",
            )
            for row in rows
        }

    def _kill_local_workers(self) -> set[int]:
        """Kill the LocalExecutor's processes that run tasks, with the tasks; which were killed.

        An idle one may hold the lock of their queue. Of a queued task, only the next scheduler notices that
        its worker has died: this executor cannot revoke it.
        """
        running = {task.wait_id for task in self.tasks().values() if task.state == "running"}
        killed = set()
        for pid, wait_id in _busy_workers(self.airflow.running()["scheduler"]):
            if wait_id in running:
                killed |= {pid, *_below(pid)}
        for pid in killed:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return killed


def _busy_workers(scheduler: int) -> Iterator[tuple[int, str]]:
    """Process and, in hex, the id of its task."""
    for pid in session_members(scheduler):
        title = (_read(pid, "cmdline") or b"").decode()
        if found := TITLE.match(title):
            yield pid, UUID(found[1]).hex


def _below(pid: int) -> Iterator[int]:
    """The processes that a process has started, and theirs."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        child = int(stat.parent.name)
        fields = (_read(child, "stat") or b"").rpartition(b")")[2].split()
        if fields and int(fields[1]) == pid:
            yield child
            yield from _below(child)


def _read(pid: int, name: str) -> bytes | None:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
