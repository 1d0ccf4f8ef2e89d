"""What docker/compose.yaml starts as containers, started as processes: do runs succeed on Celery?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from tests.acceptance.database import ask
from tests.acceptance.webhooks import ANSWER_SECONDS, Webhook, create
from tests.infrastructure.airflow_processes import AirflowProcesses
from tests.infrastructure.nginx import Nginx
from tests.infrastructure.postgres import free_port
from tests.infrastructure.redis import RedisServer

pytestmark = pytest.mark.long

GATEWAY_SECONDS = 60
WORKER = ("--concurrency", "1", "--skip-serve-logs", "--without-gossip", "--without-mingle")


@dataclass(frozen=True)
class Deployment:
    """An Airflow with two each of workers, gateways and dispatchers; ``endpoints`` lead to the gateways."""

    airflow: AirflowProcesses
    webhook: Webhook
    endpoints: dict[str, str]

    def deliver(self, endpoint: str) -> str:
        """POST an event through one of the endpoints; returns the delivery's id."""
        url = f"{self.endpoints[endpoint]}/webhook/{self.webhook.id}/{self.webhook.token}"
        response = requests.post(url, json={"through": endpoint}, timeout=ANSWER_SECONDS)
        assert response.status_code == 202, response.text
        return str(response.json()["delivery_id"])

    def ask(self, statement: str) -> list[tuple[Any, ...]]:
        """The rows of a SELECT."""
        return ask(self.airflow, statement)


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    server = RedisServer()
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def deployment(start_airflow: Callable[..., AirflowProcesses], redis: RedisServer, tmp_path_factory):
    """Everything begins at once, for each part takes seconds to begin."""
    airflow = start_airflow("postgresql", processes=("scheduler",), env=variables(redis))
    ports = [free_port() for _ in range(2)]
    endpoints = {f"gateway-{number}": f"http://127.0.0.1:{port}" for number, port in enumerate(ports, 1)}
    nginx = Nginx(tmp_path_factory.mktemp("nginx"), ports)
    with ThreadPoolExecutor() as pool:
        webhook = pool.submit(create, airflow, "events", "--dag-id", "event_log")
        for number, port in enumerate(ports, 1):
            launch(airflow, number, port)
        airflow.start("api-server", "dag-processor")
    airflow.wait_for_dag("event_log")
    try:
        nginx.start()
        for url in endpoints.values():
            airflow.wait_for(lambda url=url: is_healthy(url), what=url, seconds=GATEWAY_SECONDS)
        yield Deployment(airflow, webhook.result(), endpoints | {"nginx": nginx.url})
    finally:
        nginx.stop()


def launch(airflow: AirflowProcesses, number: int, port: int) -> None:
    """One of each that there may be several of."""
    gateway = ("webhooks", "gateway", "--host", "127.0.0.1", "--port", str(port), "--workers", "1")
    pid_file = str(airflow.home / f"worker-{number}.pid")
    worker = ("celery", "worker", "--celery-hostname", f"worker-{number}@%h", "--pid", pid_file, *WORKER)
    airflow.launch(f"gateway-{number}", *gateway)
    airflow.launch(f"dispatcher-{number}", "webhooks", "dispatcher")
    airflow.launch(f"worker-{number}", *worker)


def variables(redis: RedisServer) -> dict[str, str]:
    return {
        "AIRFLOW__CELERY__BROKER_URL": redis.url,
        # Airflow derives the result backend from its own database.
        "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
        "AIRFLOW__INBOUND_WEBHOOKS__DISPATCHER_ENABLED": "False",
        "AIRFLOW__INBOUND_WEBHOOKS__RATE_LIMIT_STORAGE_URI": redis.url,
    }


def is_healthy(url: str) -> bool:
    try:
        return requests.get(f"{url}/health", timeout=5).status_code == 200
    except requests.RequestException:
        return False


def test_what_is_posted_through_both_gateways_and_nginx_succeeds_on_celery(deployment):
    with ThreadPoolExecutor(3) as pool:
        delivered = list(pool.map(deployment.deliver, ["gateway-1", "gateway-2", "nginx"] * 2))
    for delivery_id in delivered:
        deployment.airflow.wait_for_run("event_log", f"webhook__{delivery_id}")
    assert deployment.ask("SELECT count(*) FROM dag_run WHERE dag_id = 'event_log'") == [(len(delivered),)]
    tasks = deployment.ask(
        "SELECT t.state, c.status FROM task_instance t"
        " LEFT JOIN celery_taskmeta c ON c.task_id = t.external_executor_id WHERE t.dag_id = 'event_log'"
    )
    # Celery writes that a task has ended a moment after the task itself has reported it to Airflow.
    assert {state for state, _ in tasks} == {"success"}
    assert {status for _, status in tasks} <= {"STARTED", "SUCCESS"}


def test_both_dispatchers_are_at_work_and_none_in_the_api_server(deployment):
    pids = {pid for (pid,) in deployment.ask("SELECT pid FROM inbound_webhook_dispatcher")}
    running = deployment.airflow.running()
    assert pids == {running["dispatcher-1"], running["dispatcher-2"]}


def test_a_dispatcher_that_dies_is_done_without(deployment):
    deployment.airflow.kill("dispatcher-1")
    for endpoint in deployment.endpoints:
        delivery_id = deployment.deliver(endpoint)
        deployment.airflow.wait_for_run("event_log", f"webhook__{delivery_id}")


def test_outcomes_come_back_from_celery(deployment):
    delivery_id = deployment.deliver("nginx")
    state = f"SELECT state FROM inbound_webhook_delivery WHERE id = '{delivery_id}'"
    deployment.airflow.wait_for(
        lambda: deployment.ask(state) == [("succeeded",)], what="the outcome", seconds=90
    )
