"""axe-core finds nothing serious on any page, in light and dark, on a phone and a desktop."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.acceptance.browser import axe_problems
from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.waits_builder import stored_wait
from tests.infrastructure.webhooks_builder import store_delivery, store_rejection, store_webhook
from tests.integration.web.conftest import made
from tests.integration.web.route_table import PAGES
from tests.integration.web.window import Window, windows

pytestmark = pytest.mark.long

BODY = json.dumps({"order": {"id": 7, "lines": [1, 2]}, "customer": "Ada"}).encode()
STATES = (
    *("accepted", "dispatched", "succeeded", "failed"),
    *("refused", "undeliverable", "filtered", "cancelled"),
)
PARTS = (
    *("/rows", ".json", "/live", "/progress", "/listener", "/setup"),
    *("/body", "/export", "/static/<path:filename>"),
)
"""Ends of routes that are no pages of their own."""

OPEN_FOLDS = "html => html.querySelectorAll('details').forEach(fold => { fold.open = true })"


@pytest.fixture(scope="module")
def open_window(template) -> Iterator[Any]:
    for pages in made("fab", template):
        with windows(pages) as opened:
            yield opened


@pytest.fixture(scope="module")
def shown(open_window) -> dict[str, list[str]]:
    """Route -> paths of pages with something on them."""
    from airflow.sdk import Param

    from inbound_webhooks.deliveries import replay_jobs
    from inbound_webhooks.records.delivery_filter import DeliveryFilter

    store_dag("orders", params={"number": Param(type="integer"), "customer": Param("Ada")})
    store_dag("nothing_yet")
    mapping = {"number": "${Webhook::Body.order.id}"}
    hook = store_webhook("orders", dag_id="orders", mapping=mapping, description="A shop", owner="ada")
    waiting = store_webhook("without a secret", dag_id="orders", preset="stripe", mapping=mapping)
    broken = store_webhook("without a dag", dag_id="missing")
    text = store_webhook("a path as text", dag_id="orders", mapping={"number": "body.customer"})
    for each in (hook, waiting, broken):
        store_rejection(each)
    headers = json.dumps([["Content-Type", "application/json"], ["Authorization", "***"]])
    request = {"body": BODY, "headers": headers, "event_type": "order.paid"}
    error = "parameter number: expected integer, not string"
    deliveries = [
        store_delivery(hook, state=state, run_id=f"webhook__{state}", error=error, **request)
        for state in STATES
    ]
    task = stored_wait(run_id="waiting")
    job = replay_jobs.start(access=None, actor="ada", remap=False, where=DeliveryFilter(webhook=hook.id))
    return {
        "/webhooks/": ["/", "/?text=nothing+like+this"],
        "/webhooks/dag/<dag_id>": ["/dag/orders", "/dag/nothing_yet"],
        "/webhooks/run/<dag_id>/<path:run_id>": [
            "/run/orders/webhook__failed",
            "/run/orders/manual__1",
        ],
        "/webhooks/task": [
            f"/task?dag_id=training&run_id={task.run_id}&task_id=work",
            f"/task?dag_id=training&run_id={task.run_id}&task_id=none",
        ],
        "/webhooks/hook/<webhook_id>": [f"/hook/{each.id}" for each in (hook, waiting, broken, text)],
        "/webhooks/hook/<webhook_id>/deliveries": [
            f"/hook/{hook.id}/deliveries",
            f"/hook/{text.id}/deliveries",
        ],
        "/webhooks/hook/<webhook_id>/activity": [f"/hook/{hook.id}/activity"],
        "/webhooks/delivery/<delivery_id>": [f"/delivery/{each}" for each in (*deliveries, "0" * 32)],
        "/webhooks/deliveries": ["/deliveries", "/deliveries?id=wrong", "/deliveries?text=Ada"],
        "/webhooks/activity": ["/activity"],
        "/webhooks/rejections": ["/rejections"],
        "/webhooks/replays": ["/replays"],
        "/webhooks/replays/new": ["/replays/new?state=failed", "/replays/new"],
        "/webhooks/replays/<job_id>": [f"/replays/{job.id}"],
        "/webhooks/new": ["/new", "/new?dag=orders&sender=github"],
        "/webhooks/help": ["/help"],
        "/webhooks/help/<page>": ["/help/pages", "/help/expressions", "/help/nothing"],
    }


def test_no_page_is_missing_here(shown):
    pages = {path for method, path in PAGES if method == "GET" and not path.endswith(PARTS)}
    forms = {path for path in pages if ("POST", path) in PAGES and path not in shown}
    assert pages - forms - {"/webhook/<webhook_id>/<token>"} == set(shown)


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_axe_finds_nothing_serious(open_window, shown, mode, width):
    window: Window = open_window(width=width)
    window.open("/")
    window.page.evaluate(f"localStorage.setItem('theme', '{mode}')")
    problems = {}
    for paths in shown.values():
        for path in paths:
            frame = window.open(path)
            frame.locator("html").evaluate(OPEN_FOLDS)
            window.page.wait_for_load_state("networkidle")
            found = axe_problems(window.page)
            if frame.locator("html").evaluate("html => html.scrollWidth") > width:
                found.append("scrolls sideways")
            problems[path] = found
    window.context.close()
    assert {path: found for path, found in problems.items() if found} == {}
    assert window.problems == []
