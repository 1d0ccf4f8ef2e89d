"""A new version of a DAG that breaks a mapping is noticed, shown, and mailed once."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.infrastructure.dags_builder import change_dag, forget_dag, spoil_dag, store_dag
from tests.infrastructure.mail_server import html_of
from tests.infrastructure.webhooks_builder import change_webhook, rows, store_delivery, store_webhook

MAPPING = {"number": "${Webhook::Body.number}"}


def params(*names: str, **schema):
    """Params without a default of these names, integers unless a schema is given."""
    from airflow.sdk import Param

    return {name: Param(**(schema or {"type": "integer"})) for name in names}


@pytest.fixture
def watcher(database):
    return make_watcher()


def make_watcher(**settings):
    from inbound_webhooks.dispatch.drift import DriftWatcher
    from inbound_webhooks.settings import Settings

    return DriftWatcher(Settings(**settings))


@pytest.fixture
def hook(watcher):
    """A webhook that fits its DAG, and was looked at."""
    store_dag("orders", params=params("number"))
    made = store_webhook(mapping=MAPPING, notify_failure=["a@example.com", "b@example.com"])
    watcher.look()
    return made


def mailed() -> list[tuple[str, list[str]]]:
    """To whom mails were written, and of which parameters."""
    facts = [(row.recipient, json.loads(row.facts)["problems"]) for row in rows("mail")]
    return sorted(
        (recipient, [problem["parameter"] for problem in problems]) for recipient, problems in facts
    )


def codes(hook) -> list[str]:
    from inbound_webhooks.webhooks import readiness, service

    found = readiness.reasons_of(service.get(hook.id))
    return [reason.code for reason in found if reason.code != "no-dispatcher"]


def test_a_new_required_param_is_mailed_to_each_recipient_of_failures(watcher, hook):
    store_dag("orders", params=params("number", "customer"))
    watcher.look()
    assert mailed() == [("a@example.com", ["customer"]), ("b@example.com", ["customer"])]
    assert codes(hook) == ["mapping-breaks"]


def test_it_is_mailed_once_however_many_versions_and_dispatchers_follow(watcher, hook):
    store_dag("orders", params=params("number", "customer"))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: make_watcher().look(), range(4)))
    store_dag("orders", params=params("number", "customer"), description="another version")
    assert watcher.look() == 1
    assert len(mailed()) == 2


def test_nothing_is_looked_at_twice(watcher, hook):
    assert watcher.look() == 0
    store_dag("orders", params=params("number"), description="another version")
    assert [watcher.look(), watcher.look(), len(mailed())] == [1, 0, 0]


def test_a_mended_mapping_is_mailed_again_when_it_breaks_again(watcher, hook):
    store_dag("orders", params=params("number", "customer"))
    watcher.look()
    change_webhook(hook.id, mapping=MAPPING | {"customer": "1"})
    watcher.look()
    assert (len(mailed()), codes(hook)) == (2, [])
    store_dag("orders", params=params("number", "customer", "city"))
    watcher.look()
    assert sorted(found for _, found in mailed()) == [["city"], ["city"], ["customer"], ["customer"]]


def test_a_dag_that_is_mended_resets_it_too(watcher, hook):
    for names in (("number", "customer"), ("number",), ("number", "customer")):
        store_dag("orders", params=params(*names))
        watcher.look()
    assert len(mailed()) == 4


def test_what_a_user_saves_is_not_mailed(watcher, hook):
    change_webhook(hook.id, mapping={})
    watcher.look()
    store_webhook("another", mapping={"misspelt": "1"}, notify_failure=["c@example.com"])
    watcher.look()
    assert (mailed(), codes(hook)) == ([], ["mapping-breaks"])


def test_a_dag_that_comes_after_its_webhook_is_mailed(watcher):
    store_webhook(dag_id="later", mapping=MAPPING, notify_failure=["a@example.com"])
    watcher.look()
    store_dag("later", params=params("other"))
    watcher.look()
    assert mailed() == [("a@example.com", ["other", "number"])]


def test_a_break_while_no_dispatcher_ran_is_mailed_when_one_does(watcher):
    store_dag("orders", params=params("number"))
    store_webhook(mapping=MAPPING, notify_failure=["a@example.com"])
    store_dag("orders", params=params("other"))
    watcher.look()
    assert mailed() == [("a@example.com", ["other", "number"])]


def test_another_type_is_noticed_by_what_came_before(watcher, hook):
    for number in (1, 2):
        store_delivery(hook, conf=json.dumps({"number": number}))
    store_dag("orders", params=params("number", type="integer", maximum=1))
    watcher.look()
    problem, _ = (json.loads(row.facts)["problems"][0] for row in rows("mail"))
    assert problem["message"] == "would refuse the value from 1 of the last 2 deliveries (expected integer)"
    assert (problem["breaks"], codes(hook)) == (False, ["mapping-drifted"])
    change_webhook(hook.id, mapping={"number": "1"})
    watcher.look()
    assert codes(hook) == []


def test_a_param_of_another_name_is_mailed_though_deliveries_still_start_runs(watcher, hook):
    store_dag("orders", params={"amount": 5})
    watcher.look()
    assert mailed()[0] == ("a@example.com", ["number"])
    assert codes(hook) == ["mapping-unknown"]


def test_without_recipients_for_failures_the_operators_get_the_mail(database):
    watcher = make_watcher(operator_emails="ops@example.com, on-call@example.com")
    store_dag("orders", params=params("number"))
    store_webhook(mapping=MAPPING)
    watcher.look()
    store_dag("orders", params=params("number", "customer"))
    watcher.look()
    assert [recipient for recipient, _ in mailed()] == ["on-call@example.com", "ops@example.com"]


def test_a_disabled_webhook_sends_no_mail(watcher, hook):
    change_webhook(hook.id, enabled=False)
    store_dag("orders", params=params("number", "customer"))
    watcher.look()
    assert mailed() == []


@pytest.mark.parametrize("gone", [forget_dag, spoil_dag])
def test_a_dag_that_is_gone_or_unreadable_breaks_nothing_and_mends_nothing(watcher, hook, gone):
    store_dag("orders", params=params("number", "customer"))
    watcher.look()
    gone("orders")
    change_webhook(hook.id, notify_success=["a@example.com"])
    watcher.look()
    store_dag("orders", params=params("number", "customer"))
    watcher.look()
    assert len(mailed()) == 2


def test_the_mail_says_what_does_not_fit_and_leads_to_the_webhook(
    watcher, hook, mail_server, monkeypatch, clock
):
    from inbound_webhooks.notifications.sender import NotificationSender
    from inbound_webhooks.settings import Settings

    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example.com/af")
    store_dag("orders", params=params("number", "<b>customer</b>"))
    watcher.look()
    mailer = NotificationSender(Settings())
    while mailer.send_due():
        pass
    message = mail_server.messages[0]
    assert message["Subject"] == "[Airflow] orders of the shop: mapping no longer fits Dag orders"
    for part in (
        "<b>&lt;b&gt;customer&lt;/b&gt;</b> has no default and no expression",
        f'href="https://airflow.example.com/af/plugin/webhooks?webhook={hook.id}"',
        'href="https://airflow.example.com/af/dags/orders"',
    ):
        assert part in html_of(message)


def test_a_deleted_webhook_leaves_nothing_behind(watcher, hook):
    from inbound_webhooks.storage.database import transaction
    from inbound_webhooks.storage.tables import drift
    from inbound_webhooks.webhooks import service

    service.delete(hook.id, actor="somebody")
    with transaction() as connection:
        left = connection.execute(drift.select()).all()
    assert (watcher.look(), left) == (0, [])


def test_a_paused_dag_is_looked_at_as_any_other(watcher, hook):
    store_dag("orders", params=params("number", "customer"))
    change_dag("orders", is_paused=True)
    watcher.look()
    assert len(mailed()) == 2
