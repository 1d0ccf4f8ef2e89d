"""The charts of a webhook and of all, their numbers, and what a user does not see in them."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.webhooks_builder import now, store_delivery, store_webhook

PART = {"HX-Request": "true"}


def store_at(hook, hours: float, number: int = 0, **columns) -> str:
    """A delivery received some hours ago."""
    from inbound_webhooks.storage.listing import first_id_at

    moment = now() - timedelta(hours=hours)
    made = f"{first_id_at(moment)[:12]}7{number:019x}"
    return store_delivery(hook, id=made, received_at=moment, dag_id="orders", **columns)


@pytest.fixture
def hook(pages):
    store_dag("orders")
    made = store_webhook(f"orders {now().timestamp()}")
    for number, (hours, state) in enumerate(
        [(0, "accepted"), (2, "failed"), (2, "succeeded"), (2, "succeeded"), (100, "filtered")]
    ):
        store_at(made, hours, number, state=state)
    return made


def numbers(text: str) -> list[list[str]]:
    """The rows of the table of numbers, newest first."""
    table = text.partition('<caption class="unseen">')[2].partition("</table>")[0]
    rows = re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)
    cells = (re.findall(r"<t[hd].*?>(.*?)</t[hd]>", row, re.DOTALL) for row in rows)
    return [[re.sub(r"<.*?>", "", cell).strip() for cell in row] for row in cells]


def test_the_tab_counts_a_webhooks_deliveries_by_hour_and_state(pages, hook):
    text = pages.client("ada").get(f"/hook/{hook.id}/activity").text
    assert 'aria-current="page">Activity</a>' in text
    head, *rows = numbers(text)
    assert [word.lower() for word in head[1:5]] == ["deliveries", "failed", "success", "accepted"]
    assert [row[1:5] for row in rows[:3]] == [["1", "0", "0", "1"], ["0"] * 4, ["3", "1", "2", "0"]]
    assert len(rows) == 24
    week = pages.client("ada").get(f"/hook/{hook.id}/activity?hours=168").text
    _, *rows = numbers(week)
    assert [place for place, row in enumerate(rows) if row[1] != "0"] == [0, 2, 100]
    assert len(rows) == 168


def test_a_chart_says_in_words_what_it_shows(pages, hook):
    text = pages.client("ada").get(f"/hook/{hook.id}/activity").text
    charts = re.findall(
        r'<svg[^>]*role="img" aria-labelledby="([\w-]+)">\s*<title id="([\w-]+)">(.*?)</title>', text
    )
    assert [name for name, _, _ in charts] == [name for _, name, _ in charts]
    words = charts[0][2]
    assert "1 failed, 2 success, 1 accepted, 4 together" in words
    assert "no runs" in charts[1][2]
    assert "style=" not in text


def test_htmx_gets_the_part_that_changes_alone(pages, hook):
    part = pages.client("ada").get(f"/hook/{hook.id}/activity", headers=PART).text
    assert part.lstrip().startswith('<div id="activity"')
    assert "<html" not in part
    assert f'hx-get="/pluginsv2/webhooks/hook/{hook.id}/activity?hours=24"' in part
    assert 'hx-trigger="every 10s"' in part


def test_a_tab_shows_all_webhooks_and_a_fold_those_of_a_dag(pages, hook):
    other = store_webhook(f"others {now().timestamp()}", dag_id="others")
    store_delivery(other, state="failed")
    client = pages.client("ada")
    assert 'href="/pluginsv2/webhooks/activity">Activity</a>' in client.get("/").text
    assert 'hx-get="/pluginsv2/webhooks/activity?dag=orders"' in client.get("/dag/orders").text
    together = total(client.get("/activity", headers=PART).text)
    of_one = total(client.get("/activity?dag=orders", headers=PART).text)
    assert together - of_one == total(client.get("/activity?dag=others", headers=PART).text) > 0


def total(text: str) -> int:
    return int(re.search(r"<b>([\d,]+)</b> deliver", text)[1].replace(",", ""))


@pytest.mark.parametrize("is_counted", [False, True])
def test_a_user_sees_only_webhooks_of_dags_that_he_may_read(fab_pages, is_counted):
    from inbound_webhooks.dispatch.activity_counter import ActivityCounter
    from inbound_webhooks.settings import Settings

    seen = store_webhook(f"seen {is_counted}", dag_id="seen")
    hidden = store_webhook(f"hidden {is_counted}", dag_id="hidden")
    for number, made in enumerate([seen, hidden, hidden]):
        store_at(made, 3, number + 10 * is_counted, state="succeeded")
    if is_counted:
        ActivityCounter(Settings()).count()
    role = f"Reader of seen {is_counted}"
    fab_pages.role(role, ("can_read", "Webhooks"), ("can_read", "DAG:seen"))
    part = total(fab_pages.client(f"reader {is_counted}", role).get("/activity", headers=PART).text)
    admin = fab_pages.client("ada")
    hidden_alone = total(admin.get("/activity?dag=hidden", headers=PART).text)
    assert (part, hidden_alone) == ((2, 4) if is_counted else (1, 2))
    assert total(admin.get("/activity", headers=PART).text) >= part + hidden_alone


def test_beyond_what_can_be_summed_the_page_says_so(fab_pages, hook):
    from inbound_webhooks.storage.activity import MOST_SUMMED

    store_hooks(MOST_SUMMED + 1, "many")
    fab_pages.role("Reader of many", ("can_read", "Webhooks"), ("can_read", "DAG:many"))
    text = fab_pages.client("reader of many", "Reader of many").get("/activity", headers=PART).text
    assert "these are the first 1,000 by name" in text


def store_hooks(count: int, dag_id: str) -> None:
    from inbound_webhooks.storage import tables
    from inbound_webhooks.storage.database import transaction

    base = {
        "dag_id": dag_id,
        "enabled": True,
        "version": 1,
        "mapping": "{}",
        "response_content_type": "application/json",
        "disabled_status": 403,
        "invalid_status": 422,
        "created_at": now(),
        "updated_at": now(),
    }
    rows = [base | {"id": f"{dag_id}{number:06}", "name": f"{dag_id} {number}"} for number in range(count)]
    with transaction() as connection:
        connection.execute(tables.webhook.insert(), rows)
