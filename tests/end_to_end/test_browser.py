"""A new user's story in a real browser: from the login to a run, and again."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.end_to_end.browser import Person, chromium

RUN_MILLISECONDS = 120_000


@pytest.fixture(scope="module")
def browser():
    with chromium() as started:
        yield started


@pytest.fixture
def person(browser, airflow):
    """Somebody who has just logged in."""
    found = Person(browser, airflow)
    found.log_in()
    yield found
    found.close()
    assert found.faults == []


def curl(url: str, body: str) -> str:
    done = subprocess.run(
        ["curl", "-sS", "--noproxy", "*", url, "-H", "Content-Type: application/json", "--data", body],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def create(person: Person, dag_id: str, name: str) -> str:
    """Make a webhook on the DAG's own tab; returns its URL."""
    frame = person.open(f"dags/{dag_id}/plugin/webhooks-of-dag")
    frame.get_by_role("link", name="Add trigger").click()
    assert frame.get_by_label("DAG", exact=True).input_value() == dag_id
    frame.get_by_label("Name", exact=True).fill(name)
    frame.get_by_role("button", name="Create webhook").click()
    frame.locator("#url").wait_for()
    return str(frame.locator("#url").input_value())


def test_a_new_user_gets_from_the_login_to_a_run_and_replays_it(person, airflow):
    url = create(person, "event_log", "a first webhook")
    person.frame.locator("[data-copy='#url']").click()
    person.frame.get_by_text("Copied", exact=True).first.wait_for()
    assert person.page.evaluate("navigator.clipboard.readText()") == url

    person.frame.get_by_role("link", name="Deliveries").click()
    person.frame.get_by_text("Nothing has come in yet").wait_for()
    assert "accepted" in curl(url, '{"hello": "world"}')
    person.frame.locator(".badge", has_text=re.compile("^succe")).wait_for(timeout=RUN_MILLISECONDS)

    person.frame.get_by_role("link", name=re.compile("^webhook__")).click()
    person.page.wait_for_url(re.compile("/dags/event_log/runs/webhook__"))
    person.page.get_by_role("link", name="Webhook", exact=True).click()
    person.frame.get_by_role("heading", name=re.compile("^Delivery")).wait_for()
    assert '"hello": "world"' in person.frame.get_by_label("Body").inner_text()

    person.frame.get_by_role("button", name="Replay", exact=True).click()
    person.frame.get_by_text("Replayed").wait_for()
    person.frame.get_by_text("Replay of").wait_for()


def test_airflows_own_pages_still_know_who_is_logged_in(person, airflow):
    create(person, "event_log", "one before the security page")
    if airflow.auth == "fab":
        answer = person.page.goto(f"{airflow.url}/auth/users/list/")
        assert answer.status == 200
        assert "/login" not in person.page.url
    person.open("plugin/webhooks").get_by_role("heading", name="Webhooks", exact=True).wait_for()


def test_the_side_bar_leads_to_the_list_and_to_no_page_of_airflow_2(person, airflow):
    person.page.get_by_role("button", name="Browse").click()
    person.page.get_by_role("menuitem", name="Webhooks").click()
    person.frame.get_by_role("heading", name="Webhooks", exact=True).wait_for()
    assert person.page.get_by_text("Legacy").count() == 0
    assert person.frame.get_by_text("deprecat").count() == 0
    assert person.frame.locator(".navbar").count() == 0


def test_the_pages_follow_airflows_colour_mode_at_once(person, airflow):
    frame = person.open("plugin/webhooks")
    frame.get_by_role("heading", name="Webhooks", exact=True).wait_for()
    for mode, colour in (("dark", "rgb(22, 29, 45)"), ("light", "rgb(255, 255, 255)")):
        person.page.evaluate(f"localStorage.setItem('theme', '{mode}')")
        shown = frame.locator("body")
        person.page.wait_for_timeout(500)
        assert shown.evaluate("body => getComputedStyle(body).backgroundColor") == colour
