"""A whole Airflow as real processes: for what only shows when api-server, scheduler and tasks are real."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from dev.rest import Rest, send
from dev.services import Services, session_members
from tests.infrastructure.command_server import CommandServer
from tests.infrastructure.environment import DAGS_FOLDER, process_environment
from tests.infrastructure.postgres import free_port

HEALTHY_SECONDS = 300
PARSED_SECONDS = 240
RUN_SECONDS = 240
COMMAND_SECONDS = 120
ADMIN = "admin"
PASSWORD = "a password for tests"
AUTH_MANAGERS = {
    "simple": "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager",
    "fab": "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager",
}
SHARED: list[AirflowProcesses] = []
"""Those of the session: they stand still once the stories are over, or they would take a part of a core."""

DEFAULT_PROCESSES = ("api-server", "scheduler", "dag-processor")


class AirflowProcesses:
    """An Airflow on 127.0.0.1 with a database that is migrated already.

    Under ``auth="simple"`` everyone is an admin; under ``auth="fab"`` there is the user ADMIN with PASSWORD.
    With ``warm_commands`` its commands are forks of one process: each takes a tenth of the time.
    """

    def __init__(
        self,
        home: Path,
        database_url: str,
        *,
        port: int | None = None,
        auth: str = "simple",
        dags_folder: Path = DAGS_FOLDER,
        env: dict[str, str] | None = None,
        api_server: tuple[str, ...] = ("--workers", "1"),
        warm_commands: bool = False,
    ) -> None:
        self.home = home
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.auth = auth
        self._api_server = api_server
        self.environment = process_environment(
            home, database_url, **{**self._variables(dags_folder), **(env or {})}
        )
        home.mkdir(parents=True, exist_ok=True)
        self._services = Services(self.environment, home)
        self._rest: Rest | None = None
        self._commands = CommandServer(self.environment) if warm_commands else None

    @property
    def bin(self) -> Path:
        """The folder of the program `airflow`."""
        return self._commands.bin if self._commands else Path(sys.executable).parent

    def start(self, *names: str) -> None:
        """Start the named processes, the usual three without a name, and wait until they are healthy."""
        if self.auth == "fab" and not self.log("create-user").exists():
            self.create_user(ADMIN, role="Admin")
        chosen = names or DEFAULT_PROCESSES
        for name in chosen:
            self._services.start(name, *self._arguments(name))
        if "api-server" in (*chosen, *self._services.running):
            self.wait_until_healthy(*chosen)

    def launch(self, name: str, *arguments: str) -> None:
        """Start any other command that keeps running, such as `webhooks gateway`; the name is its log's."""
        self._services.start(name, *arguments)

    def stop(self, *names: str) -> None:
        """End the named processes, or all, and everything that they started."""
        self._services.stop(*names)
        if self._commands and not names:
            self._commands.stop()

    def pause(self) -> None:
        """Let its processes stand still: they look for work many times a second."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let them continue after :meth:`pause`."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        for process in self._services.running.values():
            for member in session_members(process.pid):
                with suppress(ProcessLookupError):
                    os.kill(member, number)

    def kill(self, name: str) -> None:
        """End one as a crash would: no chance to clean up."""
        self._services.kill(name)

    def log(self, name: str) -> Path:
        """The file that holds what a process has printed."""
        return self._services.log(name)

    def running(self) -> dict[str, int]:
        """Names and process ids."""
        return {name: process.pid for name, process in self._services.running.items()}

    def airflow(self, *arguments: str, input: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command of the command line to its end."""
        if self._commands:
            return self._commands.run(*arguments, input=input)
        return subprocess.run(
            [str(Path(sys.executable).parent / "airflow"), *arguments],
            env=self.environment,
            input=input,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )

    def create_user(self, name: str, *, role: str) -> None:
        """Only under FabAuthManager; the password is PASSWORD."""
        names = ("--firstname", name, "--lastname", name, "--email", f"{name}@example.com")
        user = ("--username", name, "--role", role, "--password", PASSWORD)
        done = self.airflow("users", "create", *user, *names)
        self.log("create-user").write_text(done.stdout + done.stderr)
        if done.returncode != 0:
            raise RuntimeError(f"the user {name} was not created:\n{done.stdout}\n{done.stderr}")

    def token(self, username: str = ADMIN) -> str:
        """An API token; under SimpleAuthManager always of an admin."""
        if self.auth == "fab":
            return Rest.log_in(self.url, username=username, password=PASSWORD).token
        token: str = send(f"{self.url}/auth/token").json()["access_token"]
        return token

    @property
    def rest(self) -> Rest:
        """The REST API as an admin sees it."""
        if self._rest is None:
            self._rest = Rest(self.url, self.token())
        return self._rest

    def dag_runs(self, dag_id: str) -> list[dict[str, Any]]:
        runs: list[dict[str, Any]] = self.rest.get(f"dags/{dag_id}/dagRuns?limit=1000")["dag_runs"]
        return runs

    def dag_run(self, dag_id: str, run_id: str) -> dict[str, Any] | None:
        run: dict[str, Any] | None = self.rest.get(f"dags/{dag_id}/dagRuns/{run_id}")
        return run

    def task_log(self, dag_id: str, run_id: str, task_id: str, *, attempt: int = 1) -> str:
        """The lines of a task's log."""
        path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{attempt}?full_content=true"
        entries = (self.rest.get(path) or {"content": []})["content"]
        return "\n".join(str(entry["event"]) for entry in entries)

    def wait_until_healthy(self, *names: str) -> None:
        parts = ["metadatabase"] + [name.replace("-", "_") for name in names if name != "api-server"]
        self.wait_for(lambda: self._are_healthy(parts), what="Airflow's health", seconds=HEALTHY_SECONDS)

    def wait_for_dag(self, dag_id: str) -> None:
        """Return when the DAG has been parsed and stored."""
        self.wait_for(
            lambda: self.rest.get(f"dags/{dag_id}"), what=f"the DAG {dag_id}", seconds=PARSED_SECONDS
        )

    def wait_for_run(self, dag_id: str, run_id: str, *, state: str = "success") -> dict[str, Any]:
        """The run, once it is in this state; one that ends in another state fails."""
        run = self.wait_for(
            lambda: self._ended_run(dag_id, run_id, state), what=f"the run {run_id}", seconds=RUN_SECONDS
        )
        assert run["state"] == state, run
        return dict(run)

    def wait_for(self, found: Callable[[], Any], *, what: str, seconds: float) -> Any:
        """What the function returns, once that is true; fails when a process dies or it takes too long."""
        give_up_at = time.monotonic() + seconds
        while not (result := found()):
            self._services.check()
            if time.monotonic() > give_up_at:
                raise TimeoutError(f"waited {seconds} s for {what}: the logs are in {self.home}")
            time.sleep(0.2)
        return result

    def _ended_run(self, dag_id: str, run_id: str, state: str) -> dict[str, Any] | None:
        try:
            run = self.dag_run(dag_id, run_id)
        except TimeoutError:
            return None  # a busy machine: the caller has a limit of its own
        return run if run and run["state"] in (state, "success", "failed") else None

    def _are_healthy(self, parts: list[str]) -> bool:
        try:
            response = send(f"{self.url}/api/v2/monitor/health")
        except OSError:
            return False
        health = json.loads(response.body) if response.status == 200 else {}
        return all(health.get(part, {}).get("status") == "healthy" for part in parts)

    def _arguments(self, name: str) -> tuple[str, ...]:
        return {
            "api-server": ("api-server", "--host", "127.0.0.1", "--port", str(self.port), *self._api_server),
            "scheduler": ("scheduler", "--skip-serve-logs"),
            "triggerer": ("triggerer", "--skip-serve-logs"),
        }.get(name, (name,))

    def _variables(self, dags_folder: Path) -> dict[str, str]:
        return {
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__CORE__AUTH_MANAGER": AUTH_MANAGERS[self.auth],
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags_folder),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": str(os.cpu_count() or 2),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": str(self.auth == "simple"),
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(self.home / "logs"),
        }
