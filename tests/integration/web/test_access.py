"""The permissions that FabAuthManager gets from us, and what its roles make of them."""

from __future__ import annotations

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
    from inbound_webhooks.webhooks.access import create_permissions

    with fab_pages.app.app_context():
        security = fab_pages.app.appbuilder.sm
        security.remove_permission_from_role(
            security.find_role("Op"), security.get_permission("can_delete", "Webhooks")
        )
        create_permissions(security)
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
