"""The permissions that FabAuthManager gets from us, and what its roles make of them."""

from __future__ import annotations

import re

import pytest

from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.webhooks_builder import store_webhook
from tests.integration.web.site import ROOT

ALL = {"can_read", "can_create", "can_edit", "can_delete"}


def granted(pages, role_name: str) -> set[str]:
    with pages.app.app_context():
        role = pages.app.appbuilder.sm.find_role(role_name)
        return {held.action.name for held in role.permissions if held.resource.name == "Webhooks"}


@pytest.mark.parametrize(
    ("role", "expected"),
    [("Viewer", {"can_read"}), ("User", ALL), ("Op", ALL), ("Admin", ALL), ("Public", set())],
)
def test_airflows_own_roles_get_the_permissions_of_the_view(fab_pages, role, expected):
    assert granted(fab_pages, role) == expected


def test_what_an_administrator_takes_from_a_role_stays_taken(fab_pages):
    revoke(fab_pages, "Op", "can_delete", "Webhooks")
    start_again(fab_pages)
    assert granted(fab_pages, "Op") == ALL - {"can_delete"}


def test_the_view_alone_does_not_let_a_user_change_the_webhooks_of_a_dag(fab_pages):
    """Nor does the right to trigger the DAG alone."""
    store_dag("guarded")
    hook = store_webhook("guarded", dag_id="guarded")
    reads = (("can_read", "Webhooks"), ("can_read", "DAG:guarded"))
    triggers = (("can_edit", "DAG:guarded"), ("can_create", "DAG Runs"))
    edits = (("can_edit", "Webhooks"), ("can_create", "Webhooks"), ("can_delete", "Webhooks"))
    fab_pages.role("view only", *reads, *edits)
    fab_pages.role("dag only", *reads, *triggers)
    fab_pages.role("both", *reads, *edits, *triggers)
    responses = {}
    for name in ("view only", "dag only", "both"):
        client = fab_pages.client(name, name)
        responses[name] = client.post(f"/hook/{hook.id}/enabled", {"enabled": "1"}).status_code
        assert (hook.token in client.get(f"/hook/{hook.id}").text) == (name == "both")
    assert responses == {"view only": 403, "dag only": 403, "both": 303}


def test_moving_a_webhook_to_another_dag_needs_the_right_to_both(fab_pages):
    store_dag("mine")
    store_dag("not_mine")
    hook = store_webhook("moving", dag_id="mine")
    mine = (("can_read", "DAG:mine"), ("can_edit", "DAG:mine"), ("can_create", "DAG Runs"))
    fab_pages.role("of mine", ("can_read", "Webhooks"), ("can_edit", "Webhooks"), *mine)
    form = {
        **{"name": "moving", "dag_id": "not_mine", "version": "1", "disabled_status": "403"},
        **{"invalid_status": "422", "response_content_type": "application/json"},
    }
    response = fab_pages.client("mia", "of mine").post(f"/hook/{hook.id}", form, script=True)
    assert (response.status_code, list(response.json["problems"])) == (422, ["dag_id"])


def test_a_list_counts_and_offers_only_what_its_reader_may_see(fab_pages):
    store_dag("seen")
    store_webhook("visible one", dag_id="seen")
    store_webhook("invisible one", dag_id="unseen", preset="airbyte")
    fab_pages.role("of seen", ("can_read", "Webhooks"), ("can_read", "DAG:seen"))
    client = fab_pages.client("sue", "of seen")
    for query in ("", "?text=one", "?sender=airbyte", "?dag=unseen", "?sort=last", "?state=broken"):
        text = client.get(f"/{query}").text
        assert "invisible one" not in text
        assert "Airbyte" not in text
    assert "1 webhook<" in client.get("/?text=one").text


def test_a_bearer_token_is_as_good_as_the_cookie(fab_pages):
    with fab_pages.app.app_context():
        token = fab_pages.manager.generate_jwt(fab_pages.user("bea", "Admin"))
    response = fab_pages.app.test_client().get(f"{ROOT}/", headers={"Authorization": f"Bearer {token}"})
    assert response.status_code == 200


# --- the permission without which Airflow shows no page -----------------------------------------


def reads_plugins(pages, role_name: str) -> bool:
    with pages.app.app_context():
        role = pages.app.appbuilder.sm.find_role(role_name)
        held = {(permission.action.name, permission.resource.name) for permission in role.permissions}
    return ("can_read", "Plugins") in held


def start_again(pages, *, grant_plugins: bool = True) -> None:
    """What each start of an api-server does with the roles."""
    from inbound_webhooks.webhooks.roles import create_permissions

    with pages.app.app_context():
        create_permissions(pages.app.appbuilder.sm, grant_plugins=grant_plugins)


def revoke(pages, role_name: str, action: str = "can_read", resource: str = "Plugins") -> None:
    with pages.app.app_context():
        security = pages.app.appbuilder.sm
        role, permission = security.find_role(role_name), security.get_permission(action, resource)
        security.remove_permission_from_role(role, permission)


def forget_grants() -> None:
    """As after an upgrade from a version that knew no grants."""
    from inbound_webhooks.storage import tables
    from inbound_webhooks.storage.database import transaction

    with transaction() as connection:
        connection.execute(tables.role_grant.delete())


@pytest.mark.parametrize(
    ("role", "expected"), [("Viewer", True), ("User", True), ("Op", True), ("Admin", True), ("Public", False)]
)
def test_airflow_names_plugins_to_the_roles_that_may_see_webhooks(fab_pages, role, expected):
    assert reads_plugins(fab_pages, role) == expected


def test_a_permission_on_plugins_that_an_administrator_revokes_stays_revoked(fab_pages):
    revoke(fab_pages, "Viewer")
    start_again(fab_pages)
    assert not reads_plugins(fab_pages, "Viewer")


def test_an_older_installation_gets_the_permission_on_plugins_with_the_upgrade(fab_pages):
    revoke(fab_pages, "Viewer")
    revoke(fab_pages, "User")
    forget_grants()
    start_again(fab_pages)
    assert (reads_plugins(fab_pages, "Viewer"), reads_plugins(fab_pages, "User")) == (True, True)


def test_the_setting_keeps_all_roles_as_they_are(fab_pages):
    revoke(fab_pages, "User")
    forget_grants()
    start_again(fab_pages, grant_plugins=False)
    assert not reads_plugins(fab_pages, "User")
    start_again(fab_pages)
    assert reads_plugins(fab_pages, "User")


def test_a_role_that_may_not_see_webhooks_gets_no_permission_on_plugins(fab_pages):
    revoke(fab_pages, "User")
    for action in ALL:
        revoke(fab_pages, "User", action, "Webhooks")
    forget_grants()
    start_again(fab_pages)
    assert not reads_plugins(fab_pages, "User")


def test_the_list_names_roles_without_the_way_to_it_to_administrators_alone(fab_pages):
    fab_pages.role("lost", ("can_read", "Webhooks"))
    note = "Airflow shows no entry for webhooks to users who have only these roles:"
    assert re.search(f"{note}[^.]* lost[,.]", fab_pages.client("ada").get("/").text)
    own = fab_pages.client("lou", "lost").get("/").text
    assert "your role lacks can_read on Plugins" in own
    assert note not in own
    assert "your role lacks" not in fab_pages.client("ada").get("/").text


def test_the_check_names_roles_without_the_way_to_the_pages(fab_pages, monkeypatch):
    from inbound_webhooks.files.checking import check_stored
    from tests.infrastructure.airflow_processes import AUTH_MANAGERS

    def named() -> set[str]:
        return {problem.code for problem in check_stored().findings}

    fab_pages.role("lost again", ("can_read", "Webhooks"))
    assert "roles-lack-plugins" not in named()
    monkeypatch.setenv("AIRFLOW__CORE__AUTH_MANAGER", AUTH_MANAGERS["fab"])
    assert "roles-lack-plugins" in named()
