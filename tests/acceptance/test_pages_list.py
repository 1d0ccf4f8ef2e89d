"""The list in a real browser: who finds it, what a click does, and what happens without one."""

from __future__ import annotations

import re
import time

import pytest

from tests.acceptance.browser import Person, axe_problems, wait_for_scripts
from tests.acceptance.webhooks import create, deliver
from tests.infrastructure.airflow_processes import ADMIN

LIVE_MILLISECONDS = 30_000


@pytest.fixture
def open_window(browser, airflow):
    """A function that opens a window of a user who has just logged in."""
    people = []

    def log_in(name: str = ADMIN) -> Person:
        people.append(Person(browser, airflow))
        people[-1].log_in(name)
        return people[-1]

    yield log_in
    for person in people:
        person.close()
    assert [person.problems for person in people] == [[] for _ in people]


@pytest.fixture(scope="module")
def delivered(airflow):
    """A webhook and its delivery, whose run has succeeded."""
    airflow.wait_for_dag("event_log")
    hook = create(airflow, "found by everyone", "--dag-id", "event_log")
    delivery = deliver(hook, b'{"hello": "world"}')
    airflow.wait_for_run("event_log", f"webhook__{delivery}")
    return hook, delivery


def settled_place(locator):
    """Where it is once Airflow's window has moved its parts to their places."""
    locator.scroll_into_view_if_needed()
    before, place = None, locator.bounding_box()
    while place != before:
        time.sleep(0.5)
        before, place = place, locator.bounding_box()
    return place


@pytest.mark.parametrize("airflow", ["postgresql"], indirect=True)
def test_a_viewer_and_a_user_click_their_way_to_the_list_the_dags_tab_and_the_runs_tab(
    open_window, airflow, delivered
):
    _, delivery = delivered
    for role in ("Viewer", "User"):
        name = f"a {role.lower()}"
        airflow.create_user(name, role=role)
        person = open_window(name)
        page, frame = person.page, person.frame
        page.get_by_role("button", name="Browse").click()
        page.get_by_role("menuitem", name="Webhooks").click()
        frame.get_by_role("link", name="found by everyone", exact=True).wait_for()
        page.goto(f"{airflow.url}/dags/event_log")
        page.get_by_role("link", name="Webhooks", exact=True).click()
        frame.get_by_role("heading", name="Webhooks of this Dag").wait_for()
        page.goto(f"{airflow.url}/dags/event_log/runs/webhook__{delivery}")
        page.get_by_role("link", name="Webhook", exact=True).click()
        frame.get_by_role("heading", name=re.compile("^Delivery")).wait_for()


@pytest.mark.long
def test_a_click_toggles_in_place_and_the_list_follows_what_others_do(open_window, airflow, delivered):
    hook, _ = delivered
    other = create(airflow, "a neighbour", "--dag-id", "event_log")
    person = open_window()
    frame = person.open("plugin/webhooks")
    wait_for_scripts(frame)
    switch = frame.get_by_role("switch", name=f"{hook.name} is enabled")
    frame.get_by_label(f"Select {other.name}").check()
    place = settled_place(switch)
    for pressed in ("false", "true"):
        person.page.mouse.click(place["x"] + 8, place["y"] + 8)
        frame.locator(f"#webhook-{hook.id} [aria-checked={pressed}]").wait_for()
        assert switch.bounding_box() == place
        assert switch.evaluate("button => document.activeElement === button")
    frame.get_by_text(f"Enabled {hook.name}.").wait_for()
    frame.get_by_role("button", name="Undo").last.click()
    frame.locator(f"#webhook-{hook.id} [aria-checked=false]").wait_for()

    # The change of another user and a request arrive by themselves.
    switch.focus()
    assert airflow.airflow("webhooks", "enable", hook.id).returncode == 0
    frame.locator(f"#webhook-{hook.id} [aria-checked=true]").wait_for(timeout=LIVE_MILLISECONDS)
    deliver(other, b"{}")
    frame.locator(f"#webhook-{other.id}").get_by_text("1 total").wait_for(timeout=LIVE_MILLISECONDS)
    assert frame.get_by_label(f"Select {other.name}").is_checked()
    assert switch.evaluate("button => document.activeElement === button")
    frame.get_by_role("button", name="Delete", exact=True).click()
    frame.get_by_text(f"Delete {other.name}, with their URLs and secrets?").wait_for()
    frame.get_by_role("button", name="Cancel").click()
    airflow.airflow("webhooks", "delete", other.id, "--yes")


@pytest.mark.long
def test_times_and_titles_are_those_of_airflows_window_and_the_dags_tab_is_not_left(open_window, delivered):
    person = open_window()
    page = person.page
    page.evaluate("""localStorage.setItem("timezone", '"Asia/Tokyo"')""")
    frame = person.open("dags/event_log/plugin/webhooks-of-dag")
    wait_for_scripts(frame)
    shown = frame.locator("time[data-shown=ago]").first
    received = shown.get_attribute("datetime")
    in_tokyo = page.evaluate(
        """text => new Date(text).toLocaleString("sv-SE", {timeZone: "Asia/Tokyo"})""", received
    )
    page.wait_for_function("() => document.title === 'Webhooks - Airflow'")
    assert shown.get_attribute("title") == f"{in_tokyo} Asia/Tokyo"
    page.evaluate("""localStorage.setItem("timezone", '"UTC"')""")
    frame.locator("time[title$=' UTC']").first.wait_for()
    frame.get_by_role("link", name="Add trigger").click()
    frame.get_by_role("heading", name="New webhook").wait_for()
    frame.get_by_role("link", name="Cancel").click()
    frame.get_by_role("heading", name="Webhooks of this Dag").wait_for()


@pytest.mark.long
def test_relative_times_pass_while_the_page_is_open(open_window, delivered):
    hook, _ = delivered
    person = open_window()
    person.page.clock.install()
    frame = person.open("plugin/webhooks")
    shown = frame.locator(f"#webhook-{hook.id} time")
    wait_for_scripts(frame)
    assert not re.search("^[2-9] h", shown.inner_text())
    person.page.clock.fast_forward("02:00:00")
    frame.locator(f"#webhook-{hook.id} time", has_text=re.compile("^2 h ago$")).wait_for()


@pytest.mark.long
@pytest.mark.parametrize("airflow", ["sqlite"], indirect=True)
@pytest.mark.parametrize("mode", ["light", "dark"])
def test_axe_finds_no_serious_problem_in_the_empty_list_and_in_error_pages(open_window, delivered, mode):
    person, problems = open_window(), {}
    person.page.evaluate(f"localStorage.setItem('theme', '{mode}')")
    for width in (1280, 390):
        person.page.set_viewport_size({"width": width, "height": 900})
        for path in ("", "dag/github_push_build", "hook/nothing"):
            person.open(f"pluginsv2/webhooks/{path}")
            person.page.wait_for_load_state("load")
            problems[width, path] = axe_problems(person.page)
            assert person.page.evaluate("document.documentElement.scrollWidth") <= width
    assert {key: found for key, found in problems.items() if found} == {}
