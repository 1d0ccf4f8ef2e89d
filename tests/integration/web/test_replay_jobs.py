"""Searching and replaying many on the pages, and the permissions when each delivery is replayed."""

from __future__ import annotations

import json
import re

import pytest

from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.webhooks_builder import (
    audit_rows,
    change_delivery,
    rows,
    store_deliveries,
    store_delivery,
    store_rejection,
    store_webhook,
)

CONFIGURED = "ada:admin,vera:viewer,uma:user"


@pytest.fixture(scope="module", autouse=True)
def endpoint():
    """The process's receiver, made for this module and forgotten after it."""
    from inbound_webhooks.receiver.instance import forget_receiver

    forget_receiver()
    yield
    forget_receiver()


@pytest.fixture(autouse=True)
def configured(monkeypatch):
    """The users of SimpleAuthManager, whose roles its configuration has."""
    monkeypatch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS", CONFIGURED)


@pytest.fixture
def hook(pages, request):
    """A webhook of a DAG that only this test uses."""
    dag_id = re.sub(r"\W+", "_", request.node.name)[:80]
    store_dag(dag_id)
    return store_webhook(request.node.name, dag_id=dag_id), dag_id


def process() -> None:
    from inbound_webhooks.dispatch.replay_jobs import ReplayJobs

    work = ReplayJobs(pause=lambda _: None)
    while work.process_due():
        pass


def replayed(hook) -> list[str]:
    return [row.replay_of for row in rows("delivery") if row.webhook_id == hook.id and row.replay_of]


def squeezed(page: str) -> str:
    return re.sub(r"\s*([<>])\s*", r"\1", page)


def job_of(response) -> str:
    assert response.status_code == 303, response.text
    return str(response.headers["Location"].rpartition("/")[2])


def test_selected_deliveries_are_replayed_and_the_report_leads_to_the_new_ones(pages, hook):
    hook, dag_id = hook
    ids = store_deliveries(hook, 4, state="failed", dag_id=dag_id)
    ada = pages.client("ada")
    page = ada.get(f"/deliveries?webhook={hook.id}")
    assert re.findall(r'name="delivery" value="(\w+)"', page.text) == ids[::-1]
    started = ada.post("/replays", [("delivery", ids[0]), ("delivery", ids[2]), ("remap", "0")])
    job_id = job_of(started)
    assert ada.get(f"/replays/{job_id}/progress").status_code == 200
    process()
    assert replayed(hook) == [ids[0], ids[2]]
    finished = ada.get(f"/replays/{job_id}/progress").text
    assert "<progress" in finished
    for row in rows("delivery"):
        if row.replay_of in ids:
            assert f"/delivery/{row.id}" in finished
    assert job_id in ada.get("/replays").text


def test_the_filter_names_the_webhook_that_a_link_gave_by_its_id(pages, hook):
    hook, dag_id = hook
    (failed,) = store_deliveries(hook, 1, state="failed", dag_id=dag_id)
    ada = pages.client("ada")
    page = ada.get(f"/deliveries?webhook={hook.id}&state=failed").text
    (value,) = re.findall(r'id="webhook" name="webhook" value="([^"]*)"', page)
    assert value == hook.name
    assert failed in ada.get(f"/deliveries?webhook={value}").text


def test_the_report_follows_the_new_deliveries_until_their_runs_have_ended(pages, hook):
    hook, dag_id = hook
    (failed,) = store_deliveries(hook, 1, state="failed", dag_id=dag_id)
    ada = pages.client("ada")
    job_id = job_of(ada.post("/replays", {"delivery": failed, "remap": "0"}))
    process()
    waiting = ada.get(f"/replays/{job_id}/progress")
    assert (waiting.status_code, ">Accepted<" in squeezed(waiting.text)) == (200, True)
    (again,) = (row.id for row in rows("delivery") if row.replay_of == failed)
    change_delivery(again, state="succeeded")
    ended = ada.get(f"/replays/{job_id}/progress")
    assert (ended.status_code, ">Success<" in squeezed(ended.text), hook.name in ended.text) == (
        286,
        True,
        True,
    )
    assert "hx-get" not in ended.text


def test_all_that_match_are_replayed_after_a_look_at_what_they_are(pages, hook):
    hook, dag_id = hook
    ids = store_deliveries(hook, 30, state="failed", dag_id=dag_id)
    store_deliveries(hook, 2, state="succeeded", dag_id=dag_id)
    ada = pages.client("ada")
    listed = ada.get(f"/deliveries?webhook={hook.id}&state=failed").text
    assert "30 deliveries" in listed
    [link] = re.findall(r'href="/pluginsv2/webhooks(/replays/new[^"]+)"', listed)
    asked = ada.get(link.replace("&amp;", "&")).text
    assert "Replay 30 deliveries" in asked
    fields = re.findall(r'<input type="hidden" name="(webhook|state|all)" value="([^"]*)"', asked)
    job_id = job_of(ada.post("/replays", [*fields, ("remap", "0")]))
    for shown in (asked, ada.get(f"/replays/{job_id}").text):
        assert f">{hook.name}</a>" in shown
        assert "<dd>Failed</dd>" in shown
    process()
    assert replayed(hook) == ids
    entry = [entry for entry in audit_rows() if entry.event == "webhook.replay_job"][-1]
    assert sorted(json.loads(entry.extra)["where"]) == [["state", "failed"], ["webhook", hook.id]]
    assert entry.owner == "ada"


def test_conditions_that_are_none_are_marked(pages):
    page = pages.client("ada").get("/deliveries?from=yesterday").text
    assert "is not a time such as" in page
    assert 'value="yesterday"' in page


def test_a_text_in_bodies_is_found_only_where_runs_may_be_read(pages, hook):
    if pages.auth != "fab":
        return
    hook, dag_id = hook
    found = store_delivery(hook, dag_id=dag_id, state="failed", body=b"a canary in here")
    assert found in pages.client("ada").get("/deliveries?text=canary").text
    reads = [("can_read", "Webhooks"), ("can_read", f"DAG:{dag_id}")]
    pages.role("no runs", *reads)
    blind = pages.client("bob", "no runs")
    assert found in blind.get("/deliveries").text
    assert found not in blind.get("/deliveries?text=canary").text


def test_a_user_has_one_search_for_a_text_at_a_time(pages, hook):
    from inbound_webhooks.receiver.instance import get_receiver

    ada = pages.client("ada")
    with get_receiver().searches.held_by("ada"):
        assert "searches are running" in ada.get("/deliveries?text=x").text
        assert "searches are running" not in ada.get("/deliveries?event=x").text
    assert "searches are running" not in ada.get("/deliveries?text=x").text


def test_deliveries_and_their_number_are_those_of_readable_dags(pages, hook):
    if pages.auth != "fab":
        return
    hook, dag_id = hook
    other = store_webhook("another one", dag_id="not_readable")
    store_deliveries(hook, 2, dag_id=dag_id, state="failed")
    hidden = store_deliveries(other, 3, dag_id="not_readable", state="failed")
    store_rejection(other, reason="A reason of the other one.")
    pages.role("reader", ("can_read", "Webhooks"), ("can_read", f"DAG:{dag_id}"))
    rita = pages.client("rita", "reader")
    for query in ("", "?state=failed", "?dag=not_readable", f"?webhook={other.id}", f"?id={hidden[0]}"):
        page = rita.get(f"/deliveries{query}").text
        assert not any(f"delivery-{each}" in page for each in hidden), query
    assert "<strong>2 deliveries</strong>" in rita.get("/deliveries?state=failed").text
    assert "of the other one" not in rita.get("/rejections").text
    assert "of the other one" in pages.client("ada").get("/rejections").text


def test_rejections_are_counted_by_reason(pages, hook):
    hook, _ = hook
    for reason in ("One reason.", "One reason.", "Another."):
        store_rejection(hook, reason=reason)
    ada = pages.client("ada")
    page = ada.get(f"/hook/{hook.id}/deliveries").text
    assert re.search(r'One reason\.</a></td>.*?data-label="Number">2</td>', page)
    listed = ada.get("/rejections?reason=Another.").text
    assert listed.count("Another.</td>") == 1


def test_rejections_of_a_deleted_webhook_stay_listed_for_readers_of_its_dag(pages, hook):
    from inbound_webhooks.storage.webhooks import ById
    from inbound_webhooks.webhooks import service

    _, dag_id = hook
    deleted = store_webhook("deleted since", dag_id="of_the_deleted")
    store_rejection(deleted, reason="Rejected before the deletion.")
    service.delete(ById(deleted.id), actor="ada")
    page = pages.client("ada").get("/rejections").text
    row = next(found for found in page.split("<tr") if "deleted since" in found)
    assert "Rejected before the deletion." in row
    assert ">Deleted<" in row
    link = re.search(r'href="/pluginsv2/webhooks(/deliveries[^"]+)"', row)
    assert link is not None
    assert pages.client("ada").get(link[1]).status_code == 200
    if pages.auth == "fab":
        pages.role("reader of another", ("can_read", "Webhooks"), ("can_read", f"DAG:{dag_id}"))
        other = pages.client("rolf", "reader of another").get("/rejections").text
        assert "Rejected before the deletion." not in other


# --- permissions when a delivery is replayed ------------------------------------------------


def editor(pages, dag_id: str, name: str) -> None:
    """A role that may replay deliveries of one DAG."""
    webhooks = [(action, "Webhooks") for action in ("can_read", "can_edit")]
    dag = [(action, f"DAG:{dag_id}") for action in ("can_read", "can_edit")]
    runs = [(action, f"DAG Run:{dag_id}") for action in ("can_read", "can_create")]
    pages.role(name, *webhooks, *dag, *runs)


def test_a_user_who_lost_the_permission_in_between_replays_nothing(pages, hook):
    if pages.auth != "fab":
        return
    hook, dag_id = hook
    store_deliveries(hook, 25, state="failed", dag_id=dag_id)
    editor(pages, dag_id, "for a while")
    job_id = job_of(pages.client("lea", "for a while").post("/replays", {"all": "1", "webhook": hook.id}))
    from inbound_webhooks.dispatch.replay_jobs import ReplayJobs

    work = ReplayJobs(pause=lambda _: None)
    assert work.process_due()
    assert len(replayed(hook)) == 20
    with pages.app.app_context():
        security = pages.app.appbuilder.sm
        role = security.find_role("for a while")
        security.remove_permission_from_role(role, security.get_permission("can_create", f"DAG Run:{dag_id}"))
    type(pages.manager).cache.clear()  # as it is half a minute later
    process()
    assert len(replayed(hook)) == 20
    assert "lea may not trigger the DAG" in pages.client("ada").get(f"/replays/{job_id}").text


def test_a_user_who_was_deleted_in_between_replays_nothing(pages, hook, monkeypatch):
    hook, dag_id = hook
    store_deliveries(hook, 2, state="failed", dag_id=dag_id)
    job_id = job_of(pages.client("uma", "User").post("/replays", {"all": "1", "webhook": hook.id}))
    if pages.auth == "fab":
        with pages.app.app_context():
            security = pages.app.appbuilder.sm
            security.del_register_user(security.find_user(username="uma"))
        type(pages.manager).cache.clear()
    else:
        monkeypatch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS", "ada:admin")
    process()
    assert replayed(hook) == []
    assert "no longer exists" in pages.client("ada").get(f"/replays/{job_id}").text


def test_a_user_whose_role_is_a_lower_one_now_replays_nothing(pages, hook, monkeypatch):
    if pages.auth != "simple":
        return
    hook, dag_id = hook
    store_deliveries(hook, 2, state="failed", dag_id=dag_id)
    job_of(pages.client("uma", "User").post("/replays", {"all": "1", "webhook": hook.id}))
    monkeypatch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS", "ada:admin,uma:viewer")
    process()
    assert replayed(hook) == []


def test_each_dag_of_a_job_is_checked(pages, hook):
    if pages.auth != "fab":
        return
    hook, dag_id = hook
    store_dag("only_seen")
    other = store_webhook("only seen", dag_id="only_seen")
    mine = store_deliveries(hook, 2, state="failed", dag_id=dag_id, event_type="each")
    store_deliveries(other, 2, state="failed", dag_id="only_seen", event_type="each")
    editor(pages, dag_id, "of one")
    pages.role("of one", ("can_read", "DAG:only_seen"), ("can_read", "DAG Run:only_seen"))
    pat = pages.client("pat", "of one")
    job_id = job_of(pat.post("/replays", {"all": "1", "event": "each"}))
    process()
    assert (replayed(hook), replayed(other)) == (mine, [])
    assert "pat may not trigger the DAG only_seen" in pat.get(f"/replays/{job_id}").text


def test_the_user_is_stored_encrypted_and_forgotten_with_the_end_of_the_job(pages, hook):
    hook, dag_id = hook
    store_deliveries(hook, 1, state="failed", dag_id=dag_id)
    job_id = job_of(pages.client("ada").post("/replays", {"all": "1", "webhook": hook.id}))
    [claims] = [row.claims for row in rows("replay_job") if row.id == job_id]
    assert claims.startswith("gAAAA")
    process()
    assert [row.claims for row in rows("replay_job") if row.id == job_id] == [None]


def test_a_job_is_seen_by_its_user_and_by_those_who_might_have_started_it(pages, hook):
    if pages.auth != "fab":
        return
    hook, dag_id = hook
    store_deliveries(hook, 1, state="failed", dag_id=dag_id)
    for name in ("owner", "peer"):
        editor(pages, dag_id, name)
    pages.role("stranger", ("can_read", "Webhooks"), ("can_edit", "Webhooks"), ("can_create", "DAG Runs"))
    job_id = job_of(pages.client("olga", "owner").post("/replays", {"all": "1", "webhook": hook.id}))
    seen = {
        name: pages.client(name, role).get(f"/replays/{job_id}").status_code
        for name, role in (("olga", "owner"), ("pete", "peer"), ("sid", "stranger"))
    }
    assert seen == {"olga": 200, "pete": 200, "sid": 404}
    assert pages.client("sid", "stranger").post(f"/replays/{job_id}/cancel").status_code == 404
    assert pages.client("pete", "peer").post(f"/replays/{job_id}/cancel").status_code == 303
