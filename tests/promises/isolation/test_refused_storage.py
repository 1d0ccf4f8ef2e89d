"""Refused and filtered deliveries fill no database: a sender chooses their number and size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.webhooks_builder import change_webhook, rows, states, store_webhook

BODY = b'{"number": "' + b"x" * 4_000 + b'"}'
FEW = {"max_refused_bytes_per_minute": 12_000, "max_refused_without_body_per_minute": 3}


@pytest.fixture
def counted() -> Iterator[Counter[str]]:
    """What the metrics count meanwhile."""
    from inbound_webhooks.monitoring import metrics

    counts: Counter[str] = Counter()

    def count(name: str, by: int) -> None:
        counts[name] += by

    metrics.add_listener(count)
    yield counts
    metrics._listeners.remove(count)


def refusing(name: str = "refusing", **fields):
    """A webhook whose param is an integer."""
    from airflow.sdk import Param

    store_dag("orders", params={"number": Param(7, type="integer")})
    return store_webhook(name, mapping={"number": "${Webhook::Body.number}"}, **fields)


def filtering(name: str = "filtering"):
    store_dag("orders")
    return store_webhook(name, filter="body.number == 1")


@pytest.mark.parametrize(
    ("made", "status", "state"), [(refusing, 422, "refused"), (filtering, 200, "filtered")]
)
def test_what_is_not_accepted_stores_so_many_bytes_a_minute(
    asgi, database, configure, counted, made, status, state
):
    configure(**FEW)
    hook = made()
    assert [asgi.post(hook.path, BODY).status for _ in range(20)] == [status] * 20
    kept = rows("delivery")
    assert [row.state for row in kept] == [state] * 5
    assert [len(row.body) for row in kept] == [len(BODY)] * 2 + [0] * 3
    assert [row.body_stored for row in kept] == [True] * 2 + [False] * 3
    assert sum(len(row.body) + len(row.headers) for row in kept) < 12_000
    assert counted["not_stored"] == 15


def test_the_limit_of_one_webhook_is_not_anothers_and_accepted_ones_have_none(
    asgi, sqlite_database, configure
):
    configure(**FEW)
    flooded, other = refusing("flooded"), refusing("other")
    for _ in range(8):
        asgi.post(flooded.path, BODY)
    assert asgi.post(other.path, BODY).status == 422
    assert [row.body_stored for row in rows("delivery") if row.webhook_id == other.id] == [True]
    assert [asgi.post(flooded.path, b'{"number": 1}').status for _ in range(3)] == [202] * 3
    assert states().count("accepted") == 3


def test_small_rows_are_limited_too(asgi, sqlite_database, configure):
    """Each counts with what its row takes."""
    configure(max_refused_bytes_per_minute=3_000, max_refused_without_body_per_minute=0)
    hook = filtering()
    assert [asgi.post(hook.path, b"{}").status for _ in range(20)] == [200] * 20
    assert 1 <= len(rows("delivery")) <= 5


def test_a_minute_later_bodies_are_stored_again_and_little_is_remembered():
    from inbound_webhooks.receiver.refused_budget import RefusedBudget
    from inbound_webhooks.settings import Settings
    from tests.infrastructure.webhooks_builder import Hook, made_delivery

    seconds = 100.0
    budget = RefusedBudget(Settings(**FEW), clock=lambda: seconds)

    def stored(webhook_id: str) -> bool | None:
        limited = budget.limited(made_delivery(Hook(webhook_id, "", ""), 1, body=BODY))
        return None if limited is None else limited.body_stored

    assert [stored("a") for _ in range(7)] == [True, True, False, False, False, None, None]
    for number in range(50):
        stored(f"webhook {number}")
    seconds += 60
    assert [stored("a") for _ in range(3)] == [True, True, False]
    assert list(budget._stored) == ["a"]


def test_a_delivery_without_its_body_says_so_and_cannot_be_replayed_or_judged(
    asgi, sqlite_database, configure
):
    from inbound_webhooks.deliveries import details, replay
    from inbound_webhooks.errors import NotReplayable
    from inbound_webhooks.receiver.instance import get_receiver

    configure(max_refused_bytes_per_minute=1)
    asgi.post(refusing().path, BODY)
    (row,) = rows("delivery")
    shown = details.delivery_details(row.id)["request"]
    assert (shown["body_omitted"], shown["body"]) == (True, None)
    with pytest.raises(NotReplayable, match="max_refused_bytes_per_minute"):
        replay.replay(get_receiver(), row.id, actor="a tester")


def test_an_event_that_would_be_lost_with_a_2xx_is_put_off(asgi, sqlite_database, configure):
    configure(max_refused_bytes_per_minute=1, max_refused_without_body_per_minute=2)
    hook = refusing(invalid_status=202)
    replies = [asgi.post(hook.path, BODY) for _ in range(4)]
    assert [reply.status for reply in replies] == [202, 202, 429, 429]
    assert replies[-1].header("retry-after") == "60"


def test_without_a_row_a_disabled_webhook_is_still_refused(asgi, sqlite_database, configure):
    """No commit compares its version, and the endpoint may have cached it."""
    configure(max_refused_bytes_per_minute=1, max_refused_without_body_per_minute=1)
    hook = filtering()
    assert [asgi.post(hook.path, BODY).status for _ in range(3)] == [200] * 3
    change_webhook(hook.id, enabled=False)
    assert asgi.post(hook.path, BODY).status == 403
