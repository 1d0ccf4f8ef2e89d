"""Back-tests and previews of users leave Airflow's threads to Airflow."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from inbound_webhooks.errors import TooManyTrials
from inbound_webhooks.receiver.user_slots import UserSlots
from inbound_webhooks.rest.problems import REFUSED_SECONDS
from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.webhooks_builder import store_deliveries, store_webhook
from tests.integration.rest.conftest import anyone, api  # noqa: F401 - fixtures
from tests.integration.web.conftest import made


@pytest.fixture(scope="module")
def pages(template_of):
    yield from made("simple", template_of("sqlite"))


@pytest.fixture
def receiver(pages) -> Iterator[object]:
    from inbound_webhooks.receiver.instance import forget_receiver, get_receiver

    forget_receiver()
    yield get_receiver()
    forget_receiver()


@pytest.fixture(scope="module")
def hook(pages):
    store_dag("orders")
    return store_webhook("one")


def test_a_user_has_some_of_the_slots_and_all_users_have_no_more_than_there_are():
    slots = UserSlots(3, per_user=2)
    with ExitStack() as held:
        for user in ("ada", "ada", "bob"):
            held.enter_context(slots.held_by(user))
        for user in ("ada", "bob", "eve"):
            with pytest.raises(TooManyTrials), slots.held_by(user):
                pass
    with slots.held_by("eve"), slots.held_by("eve"), pytest.raises(TooManyTrials), slots.held_by("eve"):
        pass


def test_a_slot_is_free_again_after_a_failure():
    slots = UserSlots(1, per_user=1)
    with pytest.raises(RuntimeError), slots.held_by("ada"):
        raise RuntimeError
    with slots.held_by("bob"):
        assert list(slots._held) == ["bob"]


def test_many_threads_hold_no_more_than_there_are():
    slots, inside, most = UserSlots(4, per_user=2), [], []
    start = threading.Barrier(16)

    def work(number: int) -> bool:
        start.wait()
        refused = False
        for _ in range(200):
            try:
                with slots.held_by(f"user {number % 4}"):
                    inside.append(number)
                    most.append(len(inside))
                    inside.pop()
            except TooManyTrials:
                refused = True
        return refused

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(work, range(16)))
    assert max(most) <= 4


ROUTES = {
    "back_tests": ("backTest", "backtest", {"draft": {"filter": "body.a"}}),
    "previews": ("try", "try", {"body": "{}"}),
}


@pytest.mark.parametrize("what", ROUTES)
def test_one_that_exceeds_a_users_slots_is_429_and_holds_no_thread(api, pages, receiver, hook, what):  # noqa: F811
    of_api, of_page, body = ROUTES[what]
    ask, browser, slots = api("ada"), pages.client("ada"), getattr(receiver, what)
    form = {"name": "one", "dag_id": "orders", "disabled_status": "403", "invalid_status": "422"}
    form |= {"response_content_type": "application/json", "try_body": "{}"}
    path = f"/hook/{hook.id}/{of_page}"
    with ExitStack() as held:
        for _ in range(slots._per_user):
            held.enter_context(slots.held_by("ada"))
        response = ask("POST", f"/webhooks/{hook.id}/{of_api}", body)
        page = browser.post(path, form, script=True)
    assert (response.status_code, page.status_code) == (429, 429)
    assert response.headers["Retry-After"] == page.headers["Retry-After"] == "5"
    assert "back-tests or searches are running" in page.json["error"]
    assert ask("POST", f"/webhooks/{hook.id}/{of_api}", body).status_code == 200
    assert browser.post(path, form, script=True).status_code == 200


def test_a_back_test_pauses_for_longer_than_it_computes(pages, receiver, hook):
    """By the pauses that it asks for, against what its thread has taken of the processor."""
    from dataclasses import replace

    from inbound_webhooks.deliveries.backtest import PAUSE_FACTOR, WORK_SECONDS, back_test
    from inbound_webhooks.webhooks import service

    store_deliveries(hook, 50, body=b'{"items": [' + b"1," * 5_000 + b"1]}")
    webhook = service.get("one")
    pauses: list[float] = []
    before = time.thread_time()
    changed = replace(webhook, mapping={"p": "{{ body | tojson | length }}"})
    back_test(receiver, webhook, changed, limit=50, pause=pauses.append)
    worked = time.thread_time() - before
    assert len(pauses) >= 2
    assert min(pauses) >= PAUSE_FACTOR * WORK_SECONDS
    assert sum(pauses) > (PAUSE_FACTOR - 1) * worked


def test_a_refused_back_test_gets_429_after_a_moment(api, receiver, hook):  # noqa: F811
    """A client that asks again at once would take more than the back-tests do."""
    ask = api("ada")
    with receiver.back_tests.held_by("ada"):
        started = time.monotonic()
        response = ask("POST", f"/webhooks/{hook.id}/backTest", {"draft": {"filter": "body.a"}})
    assert response.status_code == 429
    assert time.monotonic() - started >= REFUSED_SECONDS
