"""The REST API in a real api-server, with the tokens that Airflow gives: a program's story."""

from __future__ import annotations

import pytest
import requests

from tests.acceptance.program import Program

EVENT_TYPE = "${Webhook::Body.ref}"


@pytest.fixture(scope="module")
def program(airflow) -> Program:
    airflow.wait_for_dag("event_log")
    return Program(airflow.url, airflow.token())


def test_a_program_gets_from_nothing_to_a_run_and_replays_it(airflow, program):
    body = {"name": "made by a program", "dag_id": "event_log"}
    made, again = program("POST", "/webhooks", body), program("POST", "/webhooks", body)
    assert (made.status_code, again.status_code) == (201, 200), made.text
    hook = made.json()
    assert (again.json()["id"], hook["reasons"]) == (hook["id"], [])

    accepted = requests.post(hook["url"], json={"ref": "main"}, timeout=60).json()
    airflow.wait_for_run("event_log", f"webhook__{accepted['delivery_id']}")
    listed = program("GET", f"/deliveries?webhook_id={hook['id']}").json()
    assert [one["id"] for one in listed["deliveries"]] == [accepted["delivery_id"]]

    draft = {"event_type": EVENT_TYPE}
    tested = program("POST", f"/webhooks/{hook['id']}/backTest", {"last": 5, "draft": draft}).json()
    assert (tested["judged"], tested["changed"]) == (1, 1)
    changed = program("PATCH", f"/webhooks/{hook['id']}", draft | {"version": hook["version"]}).json()
    assert (changed["event_type"], changed["version"]) == (EVENT_TYPE, 2)

    replay = program("POST", f"/deliveries/{accepted['delivery_id']}/replay", {"remap": True}).json()
    airflow.wait_for_run("event_log", f"webhook__{replay['id']}")
    assert (replay["replay_of"], replay["event_type"]) == (accepted["delivery_id"], "main")
    assert program("DELETE", f"/webhooks/{hook['id']}").status_code == 204
    assert requests.post(hook["url"], json={}, timeout=60).status_code == 404


@pytest.mark.parametrize("airflow", ["postgresql"], indirect=True)
def test_a_stranger_gets_nothing_and_a_broken_token_is_none(airflow):
    for token, status in ((None, 401), ("no token", 403), (airflow.token()[:-4] + "AAAA", 403)):
        for path in ("/webhooks", "/openapi.json"):
            response = Program(airflow.url, token)("GET", path)
            assert (response.status_code, list(response.json())) == (status, ["detail"])


@pytest.mark.parametrize("airflow", ["postgresql"], indirect=True)
def test_a_viewer_reads_and_changes_nothing(airflow, program):
    made = program("POST", "/webhooks", {"name": "looked at", "dag_id": "event_log"}).json()
    airflow.create_user("vera", role="Viewer")
    viewer = Program(airflow.url, airflow.token("vera"))
    seen = viewer("GET", f"/webhooks/{made['id']}").json()
    assert (seen["name"], seen["url"]) == ("looked at", None)
    assert viewer("PATCH", f"/webhooks/{made['id']}", {"filter": "body.a"}).status_code == 403


def test_the_description_leads_below_the_servers_prefix(airflow, program):
    document = program("GET", "/openapi.json").json()
    assert document["servers"] == [{"url": "/webhooks/api"}]
