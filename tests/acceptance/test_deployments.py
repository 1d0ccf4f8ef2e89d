"""Deployments as operators have them: each accepts a request, makes its run, and reports that all is well.

`make test` has one of them, and their parts in one process: URLs, TLS, PgBouncer and a standby at both
endpoints, in tests/integration/connections.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import requests

from dev.services import end
from tests.acceptance import helm_chart
from tests.infrastructure.airflow_processes import AirflowProcesses
from tests.infrastructure.database_proxy import DatabaseProxy
from tests.infrastructure.databases import TEMPLATE
from tests.infrastructure.environment import DAGS_FOLDER, FERNET_KEY
from tests.infrastructure.gateway_process import GatewayProcess
from tests.infrastructure.pgbouncer import PgBouncer
from tests.infrastructure.postgres import free_port, running_cluster
from tests.infrastructure.secured_postgres import running_secured

long = pytest.mark.long

DAG_ID = "event_log"
SECONDS = 120
NAME = "orders of a deployment"
OK = {"status": "ok"}


class Site:
    """An api-server of one deployment, its gateways, and a webhook."""

    def __init__(self, airflow: AirflowProcesses, url: str) -> None:
        self.airflow = airflow
        self.database_url = url
        self.gateways: list[GatewayProcess] = []

    def prepare(self) -> None:
        """Store the DAG as its processor does, and create the webhook."""
        self._must("dags", "reserialize")
        self.create()

    def create(self) -> None:
        """Create the webhook."""
        self.hook = self._must("webhooks", "create", NAME, "--dag-id", DAG_ID, "-o", "json")

    def post(self, base: str) -> requests.Response:
        path = json.loads(self.hook)["url"].partition("/pluginsv2")[2]
        return requests.post(base + path, json={"number": 1}, timeout=SECONDS)

    def bases(self) -> list[str]:
        """Where senders call: the api-server, and each gateway."""
        ports = [gateway.port for gateway in self.gateways]
        return [f"{self.airflow.url}/pluginsv2", *(f"http://127.0.0.1:{port}" for port in ports)]

    def assert_all_is_well(self) -> None:
        """A request at each endpoint becomes a run; health and check find nothing wrong."""
        deliveries = [self.post(base) for base in self.bases()]
        assert [response.status_code for response in deliveries] == [202] * len(deliveries)
        for response in deliveries:
            run_id = f"webhook__{response.json()['delivery_id']}"
            self.airflow.wait_for(
                lambda run_id=run_id: self.airflow.dag_run(DAG_ID, run_id), what=run_id, seconds=SECONDS
            )
        assert self.health() == [OK] * len(deliveries)
        checked = self.airflow.airflow("webhooks", "check", "-o", "json")
        assert [found for found in json.loads(checked.stdout) if found["webhook"] in (None, NAME)] == []

    def health(self) -> list[dict[str, object]]:
        """Status and problems of each endpoint."""
        reports = [requests.get(f"{self.airflow.url}/webhooks/api/health", timeout=SECONDS)]
        reports += [requests.get(f"{base}/health", timeout=SECONDS) for base in self.bases()[1:]]
        kept = ("status", "problems")
        return [{name: it for name, it in report.json().items() if name in kept} for report in reports]

    def stop(self) -> None:
        """End every process; again is no error."""
        for gateway in self.gateways:
            gateway.stop()
        self.airflow.stop()

    def _must(self, *arguments: str) -> str:
        done = self.airflow.airflow(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture
def deploy(tmp_path: Path):
    """A function that starts a deployment: deploy(url, gateways=1, env={…}, api_server=(…))."""
    with ExitStack() as stack:

        def deploy(url: str, *, gateways: int = 0, env=None, **options) -> Site:
            airflow = AirflowProcesses(tmp_path / "airflow", url, env=env, warm_commands=True, **options)
            site = Site(airflow, url)
            stack.callback(site.stop)
            site.prepare()
            airflow.start("api-server")
            for _ in range(gateways):
                site.gateways.append(GatewayProcess(tmp_path, url, variables=env))
                site.gateways[-1].wait()
            return site

        yield deploy


@pytest.fixture
def database_url(postgres_template, tmp_path: Path) -> str:
    """A database of its own, on PostgreSQL without TLS."""
    return postgres_template.for_airflow(tmp_path)


@pytest.fixture
def pgbouncer(postgres_cluster):
    pooler = PgBouncer(postgres_cluster)
    try:
        pooler.start()
        yield pooler
    finally:
        pooler.remove()


@pytest.mark.parametrize("airflow", ["postgresql"], indirect=True)
def test_one_process_of_each_kind(airflow, event_log):
    """The Airflow of the other stories, under FabAuthManager."""
    site = Site(airflow, "")
    site.create()
    site.assert_all_is_well()


@long
def test_a_database_that_requires_tls(deploy, migrated_cluster, tmp_path):
    """Its certificate is verified, with an authority of its own."""
    with running_secured(migrated_cluster, tmp_path) as server:
        url = server.url("tls_only@localhost:{port}/{db}?sslmode=verify-full&sslrootcert={ca}")
        site = deploy(url, gateways=2)
        site.assert_all_is_well()
        site.stop()


@long
def test_multi_team_mode(deploy, database_url):
    site = deploy(database_url, gateways=1, env={"AIRFLOW__CORE__MULTI_TEAM": "True"})
    site.assert_all_is_well()


@long
def test_pgbouncer_in_transaction_mode_with_two_gateways(deploy, database_url, pgbouncer):
    site = deploy(pgbouncer.url(database_url), gateways=2)
    site.assert_all_is_well()
    pgbouncer.stop()
    pgbouncer.start()
    assert [site.post(base).status_code for base in site.bases() * 5] == [202] * 15
    assert "Traceback" not in site.gateways[0].log.read_text()


@long
@pytest.mark.parametrize("server", ["uvicorn", "gunicorn"])
def test_two_workers_of_each_server(deploy, database_url, server):
    env = {"AIRFLOW__API__SERVER_TYPE": server}
    site = deploy(f"{database_url}?sslmode=prefer", env=env, api_server=("--workers", "2"))
    for _ in range(5):
        site.assert_all_is_well()


@long
def test_the_execution_api_apart(deploy, database_url, tmp_path):
    """The core application serves the endpoint; the execution application does not have it."""
    site = deploy(database_url, api_server=("--workers", "1", "--apps", "core"))
    port = free_port()
    site.airflow.launch("execution", "api-server", "--apps", "execution", "--port", str(port))
    health = f"http://127.0.0.1:{port}/execution/health"
    site.airflow.wait_for(lambda: _status(health), what=health, seconds=SECONDS)
    site.assert_all_is_well()
    assert site.post(f"http://127.0.0.1:{port}/pluginsv2").status_code == 404


@long
def test_a_standby_that_takes_the_place_of_its_primary(deploy, migrated_cluster):
    """Every process goes on with the new primary, without a restart."""
    replicated = ("wal_level=replica", "max_wal_senders=4")
    with ExitStack() as stack:
        primary = stack.enter_context(running_cluster(copy_of=migrated_cluster, options=replicated))
        standby = stack.enter_context(running_cluster(standby_of=primary))
        proxy = DatabaseProxy(primary.port)
        proxy.start()
        stack.callback(proxy.stop)
        site = deploy(proxy.url(primary.url(TEMPLATE)), gateways=1)
        stack.callback(site.stop)
        site.assert_all_is_well()
        standby.wait_until_applied(primary)
        primary.crash()
        assert [site.post(base).status_code for base in site.bases()] == [503, 503]
        standby.promote()
        proxy.lead_to(standby.port)
        proxy.lose()
        site.airflow.wait_for(
            lambda: all(site.post(base).status_code == 202 for base in site.bases()),
            what="the new primary",
            seconds=SECONDS,
        )
        site.airflow.wait_for(lambda: site.health() == [OK, OK], what="health", seconds=SECONDS)
        site.assert_all_is_well()


# --- the Helm chart -------------------------------------------------------------------------


@dataclass(frozen=True)
class ContainerUser:
    """The user and group of a container, and whether it may write outside of its home."""

    user_id: int
    group_id: int
    read_only_root: bool = False


CHARTS_USER = ContainerUser(helm_chart.USER_ID, helm_chart.GROUP_ID)
# As OpenShift's restricted policy has it: https://docs.openshift.com/container-platform/latest/authentication/
# managing-security-context-constraints.html
RANDOM_USER = ContainerUser(1_000_650_000, 0, read_only_root=True)


@long
@pytest.mark.parametrize(
    "user", [pytest.param(CHARTS_USER, id="chart"), pytest.param(RANDOM_USER, id="random-read-only")]
)
def test_the_containers_of_the_helm_chart(postgres_cluster, database_url, tmp_path, user):
    """Each command has the chart's environment and a user who can write to its home only."""
    environment, gateway_port, port = _chart_environment(postgres_cluster, database_url, tmp_path, user)
    _output, _spawn = partial(_output_as, user), partial(_spawn_as, user)
    with ExitStack() as stack:
        for command in ("run-airflow-migrations", "wait-for-airflow-migrations"):
            _output(environment, helm_chart.COMMANDS[command])
        _output(environment, "exec airflow dags reserialize")
        _output(environment, f"exec airflow dags unpause --yes {DAG_ID}")
        made = _output(environment, f"exec airflow webhooks create orders --dag-id {DAG_ID} -o json")
        path = json.loads(made)["url"].partition("/pluginsv2")[2]
        for command in (helm_chart.COMMANDS["api-server"], *helm_chart.OUR_COMMANDS.values()):
            filled = command.format(gateway_port=gateway_port)
            stack.callback(end, _spawn(environment, filled, tmp_path / "container.log"))
        api_server, gateway = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{gateway_port}"
        for base in (f"{api_server}/pluginsv2", gateway):
            assert _accepted(base + path, tmp_path / "container.log")["status"] == "accepted"
        deliveries = "exec airflow webhooks deliveries -o json"
        give_up_at = time.monotonic() + SECONDS
        while [one["state"] for one in json.loads(_output(environment, deliveries))] != ["dispatched"] * 2:
            assert time.monotonic() < give_up_at, (tmp_path / "container.log").read_text()
        for address in (f"{api_server}/webhooks/api/health", f"{gateway}/health"):
            assert requests.get(address, timeout=SECONDS).json()["status"] == "ok"
        assert json.loads(_output(environment, "exec airflow webhooks check -o json")) == []


def _chart_environment(
    cluster, database_url: str, folder: Path, user: ContainerUser
) -> tuple[dict[str, str], int, int]:
    home = folder / "home"
    for path in (home, home / "logs", home / "tmp"):
        path.mkdir(parents=True)
        os.chown(path, user.user_id, user.group_id)
    gateway_port, port = free_port(), free_port()
    places = {
        "user": "airflow",
        "password": "p%40ss%2Fword",
        "host": "127.0.0.1",
        "port": cluster.port,
        "database": database_url.rpartition("/")[2],
        "fernet_key": FERNET_KEY,
        "airflow_home": home,
        "api_secret_key": "a secret key for tests",
        "jwt_secret": "a secret for tests, long enough for each algorithm of tokens....",
        "redis_password": "secret",
        "base_url": f"http://127.0.0.1:{port}",
        "dags_folder": DAGS_FOLDER,
    }
    (home / "airflow.cfg").write_text(helm_chart.CONFIGURATION.format(**places))
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    filled = {name: text.format(**places) for name, text in helm_chart.ENVIRONMENT.items()}
    path = f"{Path(sys.executable).parent}:{kept['PATH']}"
    # Airflow asks for the user's name, which an id without an entry in /etc/passwd does not have. The image's
    # entry point adds one only where it may write that file. A pod has a port 8080 alone.
    own = {
        "PATH": path,
        "HOME": str(home),
        "TMPDIR": str(home / "tmp"),
        "USER": "airflow",
        "NO_PROXY": "*",
        "AIRFLOW__API__PORT": str(port),
    }
    return kept | filled | own, gateway_port, port


def _container(user: ContainerUser, command: str) -> list[str]:
    """The command as a user who may read this machine's Python and write nothing but its home."""
    if os.geteuid() != 0:
        return ["bash", "-c", command]
    ids = (f"--reuid={user.user_id}", f"--regid={user.group_id}", "--clear-groups")
    reads = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
    unprivileged = ["setpriv", *ids, *reads, "bash", "-c", command]
    if not user.read_only_root:
        return unprivileged
    mount = 'mount --bind "$HOME" "$HOME" && mount -o remount,bind,ro / && exec "$@"'
    return ["unshare", "--mount", "bash", "-c", mount, "bash", *unprivileged]


def _output_as(user: ContainerUser, environment: dict[str, str], command: str) -> str:
    done = subprocess.run(
        _container(user, command),
        env=environment,
        timeout=SECONDS,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _spawn_as(
    user: ContainerUser, environment: dict[str, str], command: str, log: Path
) -> subprocess.Popen[bytes]:
    with log.open("ab") as output:
        return subprocess.Popen(
            _container(user, command),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def _accepted(url: str, log: Path) -> dict[str, str]:
    """The response to a request, once the endpoint has started."""
    give_up_at = time.monotonic() + SECONDS
    while True:
        try:
            response = requests.post(url, json={"number": 1}, timeout=SECONDS)
            assert response.status_code == 202, log.read_text()
            return dict(response.json())
        except requests.ConnectionError:
            assert time.monotonic() < give_up_at, log.read_text()
            time.sleep(0.5)


def _status(url: str) -> int:
    try:
        return requests.get(url, timeout=SECONDS).status_code
    except requests.ConnectionError:
        return 0
