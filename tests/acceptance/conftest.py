"""One Airflow on SQLite and one on PostgreSQL, with the webhooks that the tests of this directory call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.acceptance.browser import Person, chromium
from tests.acceptance.environments import Distribution, build
from tests.acceptance.webhooks import ARGUMENTS, Webhook, create_all
from tests.infrastructure.airflow_processes import SHARED, AirflowProcesses
from tests.infrastructure.mail_server import MailServer
from tests.infrastructure.statsd import StatsdServer

AUTH_OF_BACKEND = {"sqlite": "simple", "postgresql": "fab"}
BODY_TIMEOUT_SECONDS = 2


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of this directory needs real processes."""
    for item in items:
        if "tests/acceptance/" in item.path.as_posix():
            item.add_marker(pytest.mark.airflow_server)


@pytest.fixture(scope="session")
def statsd() -> Iterator[StatsdServer]:
    """What Airflow's figures go to."""
    server = StatsdServer()
    yield server
    server.close()


@pytest.fixture(scope="module")
def mail_server() -> Iterator[MailServer]:
    server = MailServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def airflow(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    template_of: Callable[[str], Any],
    statsd: StatsdServer,
) -> Iterator[AirflowProcesses]:
    """A whole Airflow; pytest runs all tests of one database before those of the other."""
    home = tmp_path_factory.mktemp(f"end-to-end-{request.param}")
    url = template_of(request.param).for_airflow(home)
    auth = request.config.getoption("auth") or AUTH_OF_BACKEND[request.param]
    env = {
        "AIRFLOW__INBOUND_WEBHOOKS__BODY_TIMEOUT_SECONDS": str(BODY_TIMEOUT_SECONDS),
        "AIRFLOW__METRICS__STATSD_ON": "True",
        "AIRFLOW__METRICS__STATSD_HOST": "127.0.0.1",
        "AIRFLOW__METRICS__STATSD_PORT": str(statsd.port),
    }
    made = AirflowProcesses(home, url, auth=auth, env=env, warm_commands=True)
    try:
        made.start()
        SHARED.append(made)
        yield made
    finally:
        made.go_on()
        made.stop()


@pytest.fixture(scope="session")
def event_log(airflow: AirflowProcesses) -> str:
    """A DAG that takes any event and is ready for runs."""
    airflow.wait_for_dag("event_log")
    return "event_log"


@pytest.fixture(scope="session")
def distribution(tmp_path_factory: pytest.TempPathFactory) -> Distribution:
    """Wheel and sdist."""
    return build(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="session")
def webhooks(airflow: AirflowProcesses) -> dict[str, Webhook]:
    """The webhooks of `tests.acceptance.webhooks`, by name; every DAG of theirs is ready for runs."""
    for dag_id in ("github_push_build", "order_pipeline", "event_log"):
        airflow.wait_for_dag(dag_id)
    return create_all(airflow, ARGUMENTS)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


@pytest.fixture
def person(browser: Any, airflow: AirflowProcesses) -> Iterator[Person]:
    """A user who has just logged in."""
    found = Person(browser, airflow)
    found.log_in()
    yield found
    found.close()
    assert found.problems == []
