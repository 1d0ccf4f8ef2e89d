"""The gateway with a role that may do what docs/growing.md says and nothing else."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta

import pytest

from tests.infrastructure.environment import CHECKOUT
from tests.infrastructure.gateway_process import GatewayProcess
from tests.infrastructure.waits_builder import store_waiting_task
from tests.infrastructure.webhooks_builder import change_webhook, now, rows, store_webhook

ORDER = b'{"number": 1}'
GRANTS = re.search(r"```sql\n(.*?)```", (CHECKOUT / "docs/growing.md").read_text(), re.DOTALL)
ROLE = "webhook_gateway"


@pytest.fixture
def role(postgres_cluster, postgres_database):
    """The role of the page, as the page makes it; gone at the end."""
    assert GRANTS is not None
    connection = postgres_cluster.connect("airflow")
    connection.autocommit = True
    cursor = connection.cursor()
    cursor.execute(GRANTS.group(1))
    yield ROLE
    cursor.execute(f"DROP OWNED BY {ROLE}; DROP ROLE {ROLE}")
    connection.close()


@pytest.fixture
def gateway(role, postgres_database, tmp_path):
    url = postgres_database.url.replace("//airflow@", f"//{role}@")
    process = GatewayProcess(tmp_path, url)
    yield process.wait()
    process.stop()


def test_the_grants_of_the_page_are_enough_for_all_that_a_gateway_does(gateway):
    from airflow.sdk import Param

    from tests.infrastructure.dags_builder import store_dag

    store_dag("orders", params={"number": Param(7, type="integer")})
    hook = store_webhook(
        mapping={"number": "${Webhook::Body.number}"},
        verification=[{"kind": "header-key", "header": "X-Key"}],
        secrets={"signing": "a key"},
        dedup="${Webhook::Body.number}",
        response_template='{"number": "${Webhook::Body.number}"}',
    )
    change_webhook(hook.id, listening_until=now() + timedelta(minutes=2))
    path = hook.path.removeprefix("/pluginsv2")
    accepted = [gateway.request("POST", path, ORDER, X_Key="a key")[0] for _ in range(2)]
    refused = [
        gateway.request("POST", path, b'{"number": "x"}', X_Key="a key")[0],
        gateway.request("POST", path, ORDER, X_Key="no key")[0],
        gateway.request("GET", f"{path}x")[0],
    ]
    assert (accepted, refused) == ([200, 200], [422, 401, 404])
    called = store_waiting_task().path.removeprefix("/pluginsv2")
    calls = [gateway.request("POST", called, ORDER)[0] for _ in range(2)]
    assert (calls, gateway.request("POST", f"{called[:-1]}x", ORDER)[0]) == ([202, 202], 404)
    assert gateway.request("GET", path)[0] == 200
    assert gateway.request("GET", "/health")[0] == 503
    gateway.stop()  # which writes the rejections that wait
    assert [row.status for row in rows("rejection")] == [401]
    assert sorted(row.state for row in rows("delivery")) == ["accepted", "accepted", "refused"]
    assert [row.status for row in rows("captured")] == [200, 200, 422, 401, 200]
    assert len(rows("response")) == 2
    assert rows("token")[0].last_used_at is not None
    assert "database_error" not in gateway.log.read_text()


def test_the_role_may_change_no_webhook(gateway, role, postgres_cluster):
    import psycopg2

    hook = store_webhook()
    connection = psycopg2.connect(host="127.0.0.1", port=postgres_cluster.port, dbname="airflow", user=role)
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        connection.cursor().execute("UPDATE inbound_webhook SET dag_id = 'other' WHERE id = %s", (hook.id,))
    connection.close()


WRITES = (
    "UPDATE (confirm_url) ON inbound_webhook",
    "UPDATE (last_used_at) ON inbound_webhook_token",
    "UPDATE (last_used_at) ON inbound_webhook_secret",
    "UPDATE ON inbound_webhook_wait",
    *(
        f"INSERT ON inbound_webhook_{table}"
        for table in ("delivery", "captured", "response", "rejection", "result_token", "wait")
    ),
)


@pytest.mark.parametrize("privilege", ["", *WRITES])
def test_the_health_report_names_each_missing_privilege(
    role, postgres_cluster, postgres_database, environment_problems, privilege
):
    from inbound_webhooks.monitoring.health import Health
    from tests.infrastructure.database_status import database_status
    from tests.infrastructure.databases import connect_airflow

    if privilege:
        connection = postgres_cluster.connect("airflow")
        connection.cursor().execute(f"REVOKE {privilege} FROM {role}")
        connection.close()
    connect_airflow(postgres_database.url.replace("//airflow@", f"//{role}@"))
    asyncio.run(Health(database_status).report())
    connect_airflow(postgres_database.url)
    assert list(environment_problems()) == (["database-not-permitted"] if privilege else [])


@pytest.mark.parametrize(("privileges", "reports"), [("granted", 1), ("missing", 0)])
def test_a_report_that_cannot_be_stored_stops_nothing(
    role, postgres_cluster, postgres_database, environment_problems, privileges, reports
):
    from inbound_webhooks.errors import Problem
    from inbound_webhooks.monitoring.environment import ENVIRONMENT
    from inbound_webhooks.receiver.self_report import SelfReport
    from tests.infrastructure.databases import connect_airflow

    if privileges == "missing":
        connection = postgres_cluster.connect("airflow")
        connection.cursor().execute(f"REVOKE ALL ON inbound_webhook_endpoint FROM {role}")
        connection.close()
    connect_airflow(postgres_database.url.replace("//airflow@", f"//{role}@"))
    ENVIRONMENT.report(Problem("It is misplaced. Place it.", code="misplaced", severity="hint"))
    SelfReport().save()
    connect_airflow(postgres_database.url)
    assert len(rows("endpoint")) == reports
    assert list(environment_problems()) == ["misplaced"]
