"""In multi-team mode no webhook starts another team's DAG, whenever DAG, webhook and team came into being."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tests.infrastructure.assets_builder import URI, queued, store_due, store_subscriber
from tests.infrastructure.dags_builder import change_dag, store_dag, store_team
from tests.infrastructure.waits_builder import store_matching_task, tasks_at, wait_of
from tests.infrastructure.webhooks_builder import (
    ACTOR,
    change_webhook,
    delivery,
    now,
    rows,
    runs,
    states,
    store_delivery,
    store_webhook,
)


@pytest.fixture(autouse=True)
def teams(database, monkeypatch):
    """Airflow in multi-team mode with the teams red and blue, and Airflow's auth manager that knows teams."""
    from airflow.api_fastapi import app as api

    from tests.infrastructure.airflow_processes import AUTH_MANAGERS

    monkeypatch.setenv("AIRFLOW__CORE__MULTI_TEAM", "True")
    monkeypatch.setenv("AIRFLOW__CORE__AUTH_MANAGER", AUTH_MANAGERS["simple"])
    store_team("red")
    store_team("blue")
    api.purge_cached_app()
    api.create_auth_manager()
    yield
    api.purge_cached_app()


def access(*teams: str, role: str = "USER"):
    """The permissions of a user in these teams."""
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    from inbound_webhooks.webhooks.access import Access

    return Access(SimpleAuthManagerUser(username="ann", role=role, teams=list(teams)))


def create_as(may, dag_id: str):
    """Create a webhook as pages and API do."""
    assert may.may_change(dag_id, "POST")
    return store_webhook(f"of {may.user.teams} for {dag_id}", dag_id=dag_id, team=may.team_for(dag_id))


def dispatch(hook, dag_id: str) -> str:
    """Dispatch a delivery of a webhook; return its state."""
    from inbound_webhooks.dispatch.dispatcher import Dispatcher
    from inbound_webhooks.settings import Settings

    stored = store_delivery(hook, dag_id=dag_id)
    Dispatcher(Settings()).dispatch_due()
    return str(delivery(stored).state)


def enable(hook, may) -> None:
    from inbound_webhooks.webhooks import service

    webhook = service.get(hook.id)
    assert may.may_change(webhook.dag_id)
    service.set_enabled(hook.id, True, actor=ACTOR, team=may.team_for(webhook.dag_id))


def codes(hook) -> list[str]:
    from inbound_webhooks.webhooks import readiness, service

    return [reason.code for reason in readiness.reasons_of(service.get(hook.id))]


# --- which DAG a webhook may start ----------------------------------------------------------


@pytest.mark.parametrize("webhook_team", [None, "red", "blue"])
@pytest.mark.parametrize("dag_team", [None, "red", "blue"])
def test_a_webhook_starts_the_dags_of_its_team_alone(webhook_team, dag_team):
    bundle = {"bundle": dag_team} if dag_team else {}
    store_dag("orders", **bundle)
    hook = store_webhook(team=webhook_team)
    is_same = webhook_team == dag_team
    assert dispatch(hook, "orders") == ("dispatched" if is_same else "accepted")
    assert (len(runs()), "dag-team" in codes(hook)) == ((1, False) if is_same else (0, True))


def test_a_webhook_made_before_its_dag_does_not_start_another_teams():
    hook = create_as(access("red"), "payroll")
    store_dag("payroll", bundle="blue")
    assert (dispatch(hook, "payroll"), runs()) == ("accepted", [])


def test_a_webhook_made_before_its_dag_starts_the_dag_of_its_users_team():
    hook = create_as(access("red"), "orders")
    store_dag("orders", bundle="red")
    assert dispatch(hook, "orders") == "dispatched"


def test_a_user_of_several_teams_or_none_has_to_confirm_it_later():
    hooks = [create_as(access(*teams), "orders") for teams in (("red", "blue"), ())]
    store_dag("orders", bundle="red")
    assert [dispatch(hook, "orders") for hook in hooks] == ["accepted", "accepted"]
    for hook in hooks:
        enable(hook, access("red"))
    assert [dispatch(hook, "orders") for hook in hooks] == ["dispatched", "dispatched"]


def test_a_dag_id_that_moves_to_another_team_is_no_longer_started():
    store_dag("orders", bundle="red")
    hook = create_as(access("red"), "orders")
    assert dispatch(hook, "orders") == "dispatched"
    change_dag("orders", bundle_name="blue")
    assert dispatch(hook, "orders") == "accepted"
    enable(hook, access("blue"))
    assert dispatch(hook, "orders") == "dispatched"


def test_a_refusal_says_why_without_the_other_teams_name_and_ends_like_a_missing_dag():
    from inbound_webhooks.errors import TeamMismatch
    from inbound_webhooks.event.retry import next_attempt_at

    store_dag("orders", bundle="blue")
    hook = store_webhook(team="red")
    dispatch(hook, "orders")
    (stored,) = rows("delivery")
    assert "another team" in stored.error
    assert "team red" in stored.error
    assert "blue" not in stored.error
    assert next_attempt_at(now(), 1, TeamMismatch("orders", "red")) is not None
    assert next_attempt_at(now(), 20, TeamMismatch("orders", "red")) is None


def test_a_dag_of_another_team_may_not_wait_for_a_webhook():
    hook = store_webhook("dbt", dag_id="", waiting_dags=("training",), team="red")
    refused = {}
    for team in ("red", "blue"):
        waiting = store_matching_task(match={"body.a": 1}, run_id=team, registers=False)
        store_dag("training", bundle=team)
        tasks_at().review()
        refused[team] = wait_of(waiting).failure
    assert refused == {
        "red": None,
        "blue": f"The DAG training belongs to another team than the webhook {hook.name!r}.",
    }


def test_outside_of_multi_team_mode_teams_mean_nothing(monkeypatch):
    store_dag("orders", bundle="blue")
    hook = store_webhook(team="red")
    monkeypatch.setenv("AIRFLOW__CORE__MULTI_TEAM", "False")
    assert dispatch(hook, "orders") == "dispatched"
    assert (access().team_for("orders"), "dag-team" in codes(hook)) == (None, False)


def test_a_failed_batch_leaves_the_deliveries_of_its_own_team_alone():
    from inbound_webhooks.dispatch.dispatcher import Dispatcher
    from inbound_webhooks.settings import Settings

    store_dag("orders", bundle="red")
    store_dag("payroll", bundle="blue")
    stored = [
        store_delivery(store_webhook(name, dag_id=dag_id, team="red"), dag_id=dag_id)
        for name, dag_id in (("one", "orders"), ("two", "payroll"))
    ]
    Dispatcher(Settings()).dispatch_due()
    assert [delivery(one).state for one in stored] == ["dispatched", "accepted"]


def test_the_list_finds_it_among_the_webhooks_whose_dag_cannot_start():
    from inbound_webhooks.web.catalog import ListRequest, read

    store_dag("orders", bundle="red")
    store_webhook("of red", dag_id="orders", team="red")
    store_webhook("of blue", dag_id="orders", team="blue")
    store_webhook("of no team", dag_id="orders", team=None)
    found = read(access("red"), ListRequest(state="broken"))
    assert [(row.webhook.name, row.reasons[0].code) for row in found.rows] == [
        ("of blue", "dag-team"),
        ("of no team", "dag-team"),
    ]


# --- who decides ----------------------------------------------------------------------------


def test_a_user_without_the_team_may_not_touch_the_webhooks_of_its_dags():
    store_dag("payroll", bundle="blue")
    assert [access(team).may_change("payroll", "POST") for team in ("red", "blue")] == [False, True]
    assert access("red").triggerable(["payroll"]) == []
    assert access("red").readable(["payroll"]) == set()


def test_a_dag_that_has_just_got_a_team_is_checked_with_it():
    """Airflow's own look-up remembers for half a minute that there was none."""
    from airflow.models.dag import DagModel

    assert DagModel.get_team_name("payroll") is None
    store_dag("payroll", bundle="blue")
    assert not access("red").may_change("payroll", "POST")


def test_the_webhooks_of_a_dag_to_come_belong_to_the_teams_of_their_users():
    """A user of another team could read their URLs, and call them once the DAG is there."""
    create_as(access("blue"), "payroll")
    red, blue = access("red"), access("blue")
    assert [may.may_see("payroll") for may in (red, blue)] == [False, True]
    assert [may.may_change("payroll") for may in (red, blue)] == [False, True]
    assert [may.readable(["payroll"]) for may in (red, blue)] == [set(), {"payroll"}]


def test_the_team_is_that_of_the_check_even_if_the_dag_moves_meanwhile():
    store_dag("orders", bundle="red")
    may = access("red")
    assert may.may_change("orders", "POST")
    change_dag("orders", bundle_name="blue")
    assert may.team_for("orders") == "red"


def test_disabling_and_rotating_confirm_nothing():
    from inbound_webhooks.webhooks import service

    hook = store_webhook(team="red")
    service.set_enabled(hook.id, False, actor=ACTOR, team="blue")
    service.rotate(hook.id, actor=ACTOR)
    assert service.get(hook.id).team == "red"


def test_a_saved_change_takes_the_team_of_its_check():
    from inbound_webhooks.records.webhook import Draft, field_values
    from inbound_webhooks.webhooks import service

    hook = store_webhook(team="red")
    webhook = service.get(hook.id)
    changed = service.change(
        hook.id, Draft(**field_values(webhook)), version=webhook.version, actor=ACTOR, team="blue"
    )
    assert (changed.team, service.get(hook.id).team) == ("blue", "blue")


# --- what learns a DAG's params --------------------------------------------------------------


@pytest.fixture
def foreign():
    """A webhook of team red whose DAG, with a param of an integer, is team blue's."""
    from airflow.sdk import Param

    store_dag("payroll", bundle="blue", params={"secret_of_blue": Param(type="integer")})
    return store_webhook(
        dag_id="payroll", team="red", mapping={"secret_of_blue": "text"}, notify_failure=["red@example.com"]
    )


def test_the_endpoint_and_previews_check_nothing_against_another_teams_params(foreign):
    from inbound_webhooks.deliveries.preview import preview_request
    from inbound_webhooks.receiver.instance import get_receiver
    from inbound_webhooks.webhooks import service

    def preview(webhook) -> dict:
        return preview_request(
            get_receiver(), webhook, method="POST", query_string="", headers=[], body=b"{}"
        )

    webhook = service.get(foreign.id)
    assert preview(webhook)["state"] == "accepted"
    assert "secret_of_blue" in preview(replace(webhook, team="blue"))["error"]


def test_a_request_of_another_teams_webhook_is_accepted_and_waits(asgi, foreign):
    assert asgi.post(foreign.path).status == 202
    assert states() == ["accepted"]
    change_webhook(foreign.id, team="blue")
    assert asgi.post(foreign.path).status == 422


def test_a_back_test_judges_nothing_by_another_teams_params(foreign):
    from inbound_webhooks.deliveries.backtest import as_data, back_test
    from inbound_webhooks.receiver.instance import get_receiver
    from inbound_webhooks.webhooks import service

    store_delivery(foreign, dag_id="payroll", body=b"{}", headers='[["Content-Type", "application/json"]]')
    webhook = service.get(foreign.id)
    test = as_data(back_test(get_receiver(), webhook, replace(webhook, description="other"), limit=5))
    assert [one["after"]["error"] for one in test["deliveries"]] == [None]


def test_a_replay_waits_like_the_delivery(foreign):
    from inbound_webhooks.deliveries.replay import replay
    from inbound_webhooks.dispatch.dispatcher import Dispatcher
    from inbound_webhooks.receiver.instance import get_receiver
    from inbound_webhooks.settings import Settings

    stored = store_delivery(foreign, dag_id="payroll", state="undeliverable", next_attempt_at=None)
    again = replay(get_receiver(), stored, actor=ACTOR)
    Dispatcher(Settings()).dispatch_due()
    assert (delivery(again.id).state, runs()) == ("accepted", [])


def test_no_mail_shows_another_team_the_params_of_a_dag(foreign):
    from airflow.sdk import Param

    from inbound_webhooks.dispatch.drift import DriftWatcher
    from inbound_webhooks.settings import Settings

    watcher = DriftWatcher(Settings())
    change_dag("payroll", bundle_name="red")
    watcher.look()
    change_dag("payroll", bundle_name="blue")
    store_dag("payroll", bundle="blue", params={"another_secret": Param(type="integer")})
    watcher.look()
    assert not [row for row in rows("mail") if "another_secret" in (row.facts or "")]


def test_the_reason_is_the_only_one_about_the_dag(foreign):
    from inbound_webhooks.webhooks import readiness, service

    (reason,) = [
        found
        for found in readiness.reasons_of(service.get(foreign.id))
        if found.code not in ("no-dispatcher",)
    ]
    assert (reason.code, reason.severity) == ("dag-team", "stops")
    assert "belongs to team blue" in reason.message
    assert "secret_of_blue" not in reason.message


def test_the_guard_runs_in_multi_team_mode():
    from airflow import plugins_manager

    from inbound_webhooks.receiver.asgi.guard import WebhookGuard

    plugins_manager.get_fastapi_plugins.cache_clear()
    _, middlewares = plugins_manager.get_fastapi_plugins()
    assert WebhookGuard in [found["middleware"] for found in middlewares]


# --- commands -------------------------------------------------------------------------------


def test_commands_take_the_team_that_the_dag_has(webhooks):
    store_dag("orders", bundle="red")
    made = webhooks("create", "shop", "--dag-id", "orders", "-o", "json").json
    assert webhooks("show", made["id"], "-o", "json").json["team"] == "red"
    change_dag("orders", bundle_name="blue")
    checked = webhooks("check", "-o", "json")
    assert (checked.status, "belongs to team blue" in checked.out) == (1, True)
    assert webhooks("enable", "shop").status == 0
    assert webhooks("show", "shop", "-o", "json").json["team"] == "blue"


def test_an_import_takes_it_too_and_refuses_a_file_that_names_one(webhooks, tmp_path):
    store_dag("orders", bundle="red")
    file = tmp_path / "webhooks.yaml"
    entry = {"name": "shop", "dag_id": "orders"}
    file.write_text(f"webhooks: {json.dumps([entry])}")
    assert webhooks("import", str(file)).status == 0
    assert webhooks("show", "shop", "-o", "json").json["team"] == "red"
    assert "team" not in webhooks("export").out
    file.write_text(file.read_text().replace('"orders"', '"orders", "team": "blue"'))
    refused = webhooks("import", str(file))
    assert (refused.status, "team" in refused.err) == (2, True)


def test_a_webhook_from_before_the_upgrade_waits_until_it_is_enabled_again(webhooks):
    store_dag("orders", bundle="red")
    hook = store_webhook(team="red")
    change_webhook(hook.id, team=None)
    assert dispatch(hook, "orders") == "accepted"
    assert webhooks("enable", hook.name).status == 0
    assert dispatch(hook, "orders") == "dispatched"


# --- assets ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("team", "reached"), [("red", ["of_none", "of_red"]), (None, ["of_none"])])
def test_an_asset_event_reaches_no_dag_of_another_team(team, reached):
    from inbound_webhooks.dispatch.dispatcher import Dispatcher
    from inbound_webhooks.settings import Settings

    for of_team in ("red", "blue"):
        store_subscriber(f"of_{of_team}", bundle=of_team)
    store_subscriber("of_none")
    store_due(store_webhook(dag_id="", asset=URI, team=team))
    Dispatcher(Settings()).dispatch_due()
    assert (states(), queued()) == (["succeeded"], reached)


@pytest.mark.parametrize(("of", "team"), [(["red"], "red"), (["red", "blue"], None), ([], None)])
def test_a_webhook_of_an_asset_stands_for_the_one_team_of_its_user(of, team):
    from inbound_webhooks.records.webhook import Draft

    assert access(*of, role="OP").team_for(Draft(name="orders", asset=URI)) == team
