"""`python -m benchmarks.request_path`: count the functions that one warm unsigned POST runs.

The gateway and the api-server run as processes of their own, each on SQLite and on PostgreSQL. Everything
counts that their threads and tasks do from the request until a moment after its response.
"""

from __future__ import annotations

import argparse
import json
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

from benchmarks.figures import percentile
from benchmarks.function_sizes import function_lines
from benchmarks.request_trace import RequestTrace, listing, usual
from benchmarks.site import DAGS_FOLDER, command, create_webhook
from dev.services import end
from tests.infrastructure.airflow_processes import AirflowProcesses
from tests.infrastructure.databases import migrate
from tests.infrastructure.environment import sqlite_url
from tests.infrastructure.postgres import PostgresCluster, free_port

PACKAGE = "inbound_webhooks"
CHECKOUT = Path(__file__).resolve().parents[1]
DATABASES = ("sqlite", "postgresql")
ENDPOINTS = {
    "gateway": ("webhooks", "gateway", "--port"),
    "api-server": ("api-server", "--host", "127.0.0.1", "--workers", "1", "--port"),
}
"""Commands without the port at their end."""

DAG_ID = "bench_number"
MAPPING = {"number": "${Webhook::Body.number}"}
BODY = b'{"number": 8}'

WARM_UP = 5
ROUNDS = 9
SETTLE_SECONDS = 0.1
"""Before and after a recorded request; the endpoint knows a webhook for a second without asking for it."""

START_SECONDS = 120
WRITE_SECONDS = 10

MOST_FUNCTIONS = 75
MOST_SWITCHES = 45
LONG_FUNCTION_LINES = 40
MOST_LONG_PERCENT = 1
P90_LINES_BELOW = 20


@dataclass(frozen=True)
class Endpoint:
    """A process that is recorded, and the path of a webhook there."""

    process: subprocess.Popen[bytes]
    port: int
    path: str
    output: Path
    log: Path

    def post(self) -> int | None:
        """The status of a request; None where nothing answers yet."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=START_SECONDS)
        try:
            connection.request("POST", self.path, BODY, {"Content-Type": "application/json"})
            return connection.getresponse().status
        except OSError:
            return None
        finally:
            connection.close()

    def wait(self) -> None:
        """Return once it accepts requests."""
        _wait_until(
            lambda: self._check() and self.post() == 202, f"the endpoint, see {self.log}", START_SECONDS
        )

    def recorded(self) -> RequestTrace:
        """What happened since the last call."""
        self.output.unlink(missing_ok=True)
        self.process.send_signal(signal.SIGUSR1)
        _wait_until(lambda: self._check() and self.output.exists(), "the recorded calls", WRITE_SECONDS)
        return RequestTrace.load(json.loads(self.output.read_text()))

    def _check(self) -> bool:
        if self.process.poll() is not None:
            raise RuntimeError(f"the endpoint ended:\n{self.log.read_text()[-4000:]}")
        return True


def main() -> None:
    """Print the tables; with an option, write down the functions too."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.request_path", description=__doc__)
    parser.add_argument(
        "--functions", type=Path, metavar="FOLDER", help="write the functions of each path there"
    )
    arguments = parser.parse_args()
    # What was started is ended on the way out, so the way out must be taken.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    print("| Path of a POST | Functions | Calls | Modules | Switches | Threads | Same in |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, traces in _traces():
        trace, same = usual(traces)
        print(_line(name, trace, f"{same} of {len(traces)}"), flush=True)
        if arguments.functions is not None:
            arguments.functions.mkdir(parents=True, exist_ok=True)
            (arguments.functions / f"{name.replace(', ', '_')}.txt").write_text(listing(trace))
    print(f"\nPython {platform.python_version()}; {_sizes()}")


def _line(name: str, trace: RequestTrace, same: str) -> str:
    functions, switches = len(trace.calls), trace.switches
    cells = [
        name,
        f"{functions} (≤ {MOST_FUNCTIONS}: {_verdict(functions <= MOST_FUNCTIONS)})",
        str(trace.calls.total()),
        str(len(trace.modules)),
        f"{switches} (≤ {MOST_SWITCHES}: {_verdict(switches <= MOST_SWITCHES)})",
        str(trace.threads),
        same,
    ]
    return f"| {' | '.join(cells)} |"


def _sizes() -> str:
    lines = function_lines(CHECKOUT / "plugins" / PACKAGE)
    long = sum(number > LONG_FUNCTION_LINES for number in lines)
    percent, p90 = 100 * long / len(lines), percentile(lines, 90)
    return (
        f"{len(lines):,} functions of the package, "
        f"{long} over {LONG_FUNCTION_LINES} lines, {percent:.2f} % "
        f"(≤ {MOST_LONG_PERCENT} %: {_verdict(percent <= MOST_LONG_PERCENT)}), "
        f"p90 {p90:g} lines (< {P90_LINES_BELOW}: {_verdict(p90 < P90_LINES_BELOW)})."
    )


def _verdict(is_met: bool) -> str:
    return "met" if is_met else "**missed**"


def _traces() -> Iterator[tuple[str, list[RequestTrace]]]:
    """The recorded requests of each endpoint on each database."""
    with ExitStack() as ended:
        folder = Path(ended.enter_context(tempfile.TemporaryDirectory(prefix="request-path-")))
        cluster = PostgresCluster()
        ended.callback(cluster.remove)
        cluster.start()
        for database in DATABASES:
            airflow = _airflow(cluster, database, folder / database)
            path = create_webhook(airflow, "number", MAPPING, dag_id=DAG_ID)
            for name in ENDPOINTS:
                with _running(airflow, name, path) as endpoint:
                    yield f"{name}, {database}", _recorded_requests(endpoint)


def _airflow(cluster: PostgresCluster, database: str, home: Path) -> AirflowProcesses:
    """A migrated Airflow that knows the DAG."""
    home.mkdir()
    url = sqlite_url(home / "airflow.db") if database == "sqlite" else cluster.create_database("request_path")
    variables = {
        "AIRFLOW__INBOUND_WEBHOOKS__DISPATCHER_ENABLED": "False",
        # Else Airflow adds the credentials of an admin to each request, and the guard drops them.
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
    }
    airflow = AirflowProcesses(home, url, dags_folder=DAGS_FOLDER, env=variables)
    migrate(url, home)
    command(airflow, "dags", "reserialize")
    return airflow


@contextmanager
def _running(airflow: AirflowProcesses, name: str, path: str) -> Iterator[Endpoint]:
    port, output, log = free_port(), airflow.home / "recorded.json", airflow.home / f"{name}.log"
    recorder = [sys.executable, "-m", "benchmarks.path_recorder", str(output), PACKAGE]
    with log.open("wb") as file:
        process = subprocess.Popen(
            [*recorder, *ENDPOINTS[name], str(port)],
            cwd=CHECKOUT,
            env=airflow.environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        path = path.removeprefix("/pluginsv2") if name == "gateway" else path
        endpoint = Endpoint(process, port, path, output, log)
        endpoint.wait()
        yield endpoint
    finally:
        end(process)


def _recorded_requests(endpoint: Endpoint) -> list[RequestTrace]:
    endpoint.recorded()  # from now on the main thread is recorded too
    for _ in range(WARM_UP):
        endpoint.post()
    traces = []
    for _ in range(ROUNDS):
        time.sleep(SETTLE_SECONDS)
        endpoint.recorded()
        if (status := endpoint.post()) != 202:
            raise RuntimeError(f"the endpoint responded with {status}, see {endpoint.log}")
        time.sleep(SETTLE_SECONDS)
        traces.append(endpoint.recorded())
    return traces


def _wait_until(happened: Callable[[], bool], what: str, seconds: float) -> None:
    give_up_at = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > give_up_at:
            raise TimeoutError(f"waited {seconds} s for {what}")
        time.sleep(0.01)


if __name__ == "__main__":
    main()
