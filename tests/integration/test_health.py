"""What a monitor is shown, and that asking costs the database next to nothing."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from tests.infrastructure.webhooks_builder import now, store_deliveries, store_webhook


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def see_dispatcher(seen_at) -> None:
    from inbound_webhooks.storage import dispatchers
    from inbound_webhooks.storage.database import transaction

    row = dispatchers.DispatcherRow(id="a" * 32, host="somewhere", pid=7, started_at=seen_at)
    with transaction() as connection:
        dispatchers.note_dispatcher(connection, row, seen_at)


def get(clients: int = 1) -> list:
    """What so many ask at once are answered."""
    import httpx

    from inbound_webhooks.monitoring.health import Health
    from inbound_webhooks.rest import app
    from tests.infrastructure.database_status import database_status

    async def ask() -> list:
        app.app.state.health = Health(database_status)
        transport = httpx.ASGITransport(app=app.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await asyncio.gather(*[client.get("/health") for _ in range(clients)])

    return asyncio.run(ask())


def test_backlog_oldest_delivery_and_heartbeat_need_no_login(database):
    see_dispatcher(now())
    hook = store_webhook("a secret name")
    store_deliveries(hook, 3, received_at=now() - timedelta(minutes=5))
    store_deliveries(hook, 2)
    store_deliveries(hook, 1, state="dispatched", received_at=now() - timedelta(hours=5))
    (response,) = get()
    report = response.json()
    assert (response.status_code, report["status"], report["backlog"]) == (200, "ok", 5)
    assert 300 <= report["oldest_undispatched_seconds"] < 330
    assert report["dispatcher_silent_seconds"] < 30
    assert not [word for word in ("a secret name", hook.id, "somewhere", "orders") if word in response.text]


def test_without_a_backlog_there_is_no_oldest_delivery(database):
    see_dispatcher(now())
    (response,) = get()
    assert (response.json()["backlog"], response.json()["oldest_undispatched_seconds"]) == (0, None)


@pytest.mark.parametrize("silent", [None, timedelta(seconds=61)], ids=["none ever", "silent"])
def test_without_a_dispatcher_at_work_it_is_503(database, silent):
    if silent is not None:
        see_dispatcher(now() - silent)
    (response,) = get()
    assert (response.status_code, response.json()["status"]) == (503, "no_dispatcher")


def test_a_database_that_is_away_is_503(postgres_cluster, postgres_database):
    postgres_cluster.stop()
    try:
        (response,) = get()
    finally:
        postgres_cluster.start()
    assert (response.status_code, response.json()["status"]) == (503, "database_unavailable")
    assert response.json()["problems"] == [
        {"code": "database-unavailable", "message": "The database cannot be reached."}
    ]


def test_many_requests_at_once_cost_one_look(sqlite_database):
    from airflow import settings
    from sqlalchemy import event

    statements = []
    event.listen(settings.engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
    responses = get(clients=50)
    assert {response.status_code for response in responses} == {503}
    assert len([statement for statement in statements if "inbound_webhook_dispatcher" in statement]) == 1


def test_a_report_is_as_old_as_a_second_at_most(sqlite_database):
    from inbound_webhooks.monitoring.health import Health
    from tests.infrastructure.database_status import database_status

    clock = Clock()

    async def ask() -> list:
        health = Health(database_status, clock=clock)
        before = await health.report()
        see_dispatcher(now())
        clock.seconds = 0.9
        held = await health.report()
        clock.seconds = 1.1
        return [before.status, held.status, (await health.report()).status]

    assert asyncio.run(ask()) == [503, 503, 200]


def test_a_dispatcher_gives_signs_of_life_while_it_runs_and_leaves_none_behind(database):
    from inbound_webhooks.dispatch.dispatcher import Dispatcher
    from inbound_webhooks.settings import Settings
    from tests.infrastructure.webhooks_builder import rows
    from tests.promises.test_many_dispatchers import running, wait_until

    with running(Dispatcher(Settings(dispatcher_poll_seconds=60))):
        wait_until(lambda: len(rows("dispatcher")) == 1)
        (first,) = rows("dispatcher")
        wait_until(lambda: rows("dispatcher")[0].seen_at > first.seen_at)
    assert rows("dispatcher") == []


def test_with_a_wrong_setting_it_is_503_and_shows_no_figures():
    from inbound_webhooks.errors import Problem
    from inbound_webhooks.monitoring.environment import Environment
    from inbound_webhooks.monitoring.health import Health

    environment = Environment()
    environment.report(Problem("It is wrong. Correct it.", code="misconfigured"))
    report = asyncio.run(Health(None, environment=environment).report())
    problems = [{"code": "misconfigured", "message": "It is wrong. Correct it."}]
    assert (report.status, report.document) == (503, {"status": "misconfigured", "problems": problems})
