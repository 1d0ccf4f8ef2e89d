"""The API in multi-team mode: who sees and changes which webhooks, and what their team is."""

from __future__ import annotations

import pytest

from tests.infrastructure.dags_builder import change_dag, store_dag, store_team
from tests.infrastructure.webhooks_builder import delivery, store_delivery, store_webhook
from tests.integration.rest.conftest import new_name
from tests.integration.web.conftest import made


@pytest.fixture(scope="module")
def pages(pytestconfig: pytest.Config, template_of):
    """Airflow in multi-team mode, with the one of its auth managers that knows teams."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW__CORE__MULTI_TEAM", "True")
        for site in made("simple", template_of(pytestconfig.getoption("database") or "sqlite")):
            store_team("red")
            store_team("blue")
            yield site


@pytest.fixture(scope="module")
def in_team(pages, api):
    """in_team("red") -> ask(method, path, json) as a user in that team."""
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    def login(*teams: str):
        user = SimpleAuthManagerUser(username=f"user of {teams}", role="USER", teams=list(teams))
        headers = {"Authorization": f"Bearer {pages.manager.generate_jwt(user)}"}
        ask = api()
        return lambda method, path, json=None: ask(method, path, json, headers=headers)

    return login


def test_a_webhook_made_before_its_dag_stays_with_the_team_of_its_user(in_team):
    red, blue = in_team("red"), in_team("blue")
    created = red("POST", "/webhooks", {"name": new_name(), "dag_id": "payroll"})
    assert (created.status_code, created.json()["team"]) == (201, "red")
    path = f"/webhooks/{created.json()['id']}"
    assert [ask("GET", path).status_code for ask in (red, blue)] == [200, 404]
    store_dag("payroll", bundle="blue")
    assert [ask("GET", path).status_code for ask in (red, blue)] == [404, 200]
    assert "dag-team" in [reason["code"] for reason in blue("GET", path).json()["reasons"]]
    enabled = blue("POST", f"{path}/enable").json()
    assert (enabled["team"], "dag-team" in [found["code"] for found in enabled["reasons"]]) == ("blue", False)


def test_no_user_makes_a_webhook_for_another_teams_dag(in_team):
    store_dag("invoices", bundle="blue")
    hook = store_webhook(new_name(), dag_id="orders", team="red")
    store_dag("orders", bundle="red")
    red = in_team("red")
    assert red("POST", "/webhooks", {"name": new_name(), "dag_id": "invoices"}).status_code == 403
    assert red("PATCH", f"/webhooks/{hook.id}", {"dag_id": "invoices"}).status_code == 403
    assert red("PATCH", f"/webhooks/{hook.id}", {"description": "ours"}).json()["team"] == "red"


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_no_user_sets_a_team(in_team, method):
    store_dag("deliveries", bundle="red")
    hook = store_webhook(new_name(), dag_id="deliveries", team="red")
    path = "/webhooks" if method == "POST" else f"/webhooks/{hook.id}"
    refused = in_team("red")(method, path, {"name": new_name(), "dag_id": "deliveries", "team": "blue"})
    assert refused.status_code == 422
    assert "team" in refused.text


def test_deliveries_of_another_teams_dag_are_neither_seen_nor_replayed(in_team):
    store_dag("refunds", bundle="red")
    hook = store_webhook(new_name(), dag_id="refunds", team="red")
    stored = store_delivery(hook, dag_id="refunds", state="undeliverable", next_attempt_at=None)
    change_dag("refunds", bundle_name="blue")
    red, blue = in_team("red"), in_team("blue")
    assert [ask("POST", f"/deliveries/{stored}/replay").status_code for ask in (red, blue)] == [404, 201]
    assert delivery(stored).state == "undeliverable"
