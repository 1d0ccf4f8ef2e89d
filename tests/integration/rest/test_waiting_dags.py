"""Webhooks whose events tasks of some DAGs wait for: the rights to these DAGs decide."""

from __future__ import annotations

import pytest

from tests.infrastructure.webhooks_builder import store_delivery, store_webhook
from tests.integration.rest.conftest import new_name
from tests.integration.rest.test_without_dag import BODY, listed, role, shown

SEES = ("can_read", "Webhooks")
EDITS = (SEES, ("can_edit", "Webhooks"), ("can_create", "Webhooks"))


def rights(dag_id: str, *actions: str) -> list[tuple[str, str]]:
    """Of FabAuthManager, on a DAG or its runs."""
    return [(action, dag_id) for action in actions]


@pytest.fixture
def hook(pages):
    return store_webhook(new_name(), dag_id="", waiting_dags=("training", "refresh"))


@pytest.mark.parametrize(
    ("name", "statuses"), [("Viewer", (200, 403)), ("Op", (200, 200)), ("Admin", (200, 200))]
)
def test_roles_of_airflow_apply(api, hook, name, statuses):
    ask = api(f"{name} of waits", name)
    seen, changed = ask("GET", f"/webhooks/{hook.id}"), ask("POST", f"/webhooks/{hook.id}/disable")
    assert (seen.status_code, changed.status_code) == statuses
    body = {"name": new_name(), "waiting_dags": ["training"]}
    assert ask("POST", "/webhooks", body).status_code == (201 if changed.status_code == 200 else 403)


def test_the_right_to_each_waiting_dag_is_needed(api, pages, hook):
    if pages.auth != "fab":
        return  # SimpleAuthManager's roles are for everything
    delivery = store_delivery(hook, dag_id="", state="unmatched", **BODY)
    one = [*EDITS, *rights("DAG:training", "can_read", "can_edit")]
    both = [*one, *rights("DAG:refresh", "can_read", "can_edit")]
    half, whole = (
        api("hal", role(pages, "one of both", *one)),
        api("whole", role(pages, "both of both", *both)),
    )
    assert [ask("GET", f"/webhooks/{hook.id}").status_code for ask in (half, whole)] == [404, 200]
    assert [hook.id in listed(ask) for ask in (half, whole)] == [False, True]
    assert [shown(ask, delivery)[0] for ask in (half, whole)] == [404, 200]


def test_events_are_given_only_to_dags_that_the_user_may_trigger(api, pages):
    if pages.auth != "fab":
        return  # SimpleAuthManager's roles are for everything
    triggers = [("can_create", "DAG Run:orders")]
    given = role(pages, "of orders", *EDITS, *rights("DAG:orders", "can_read", "can_edit"), *triggers)
    ask = api("olga", given)
    fields = {"dag_id": "orders"}
    own = ask("POST", "/webhooks", {"name": new_name(), **fields})
    foreign = ask("POST", "/webhooks", {"name": new_name(), **fields, "waiting_dags": ["training"]})
    assert (own.status_code, foreign.status_code) == (201, 403), own.text
    assert "permission to trigger each of them" in foreign.text
    changed = ask("PATCH", f"/webhooks/{own.json()['id']}", {"waiting_dags": ["training"]})
    assert changed.status_code == 403
