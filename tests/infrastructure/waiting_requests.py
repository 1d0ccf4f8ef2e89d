"""Requests whose responses wait for a run, and what a scheduler and a worker do to that run meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from tests.infrastructure.asgi_endpoint import JSON, AsgiEndpoint, Headers, Reply
from tests.infrastructure.loop import loop
from tests.infrastructure.webhooks_builder import Hook, delivery, rows

SECONDS = 10
"""Longer than any step takes."""


class Waiting:
    """A POST that is on its way, from a client that stays until :meth:`leave`."""

    def __init__(
        self, endpoint: AsgiEndpoint, hook: Hook, body: bytes = b"{}", headers: Headers = JSON
    ) -> None:
        self._left, self._chunks = asyncio.Event(), [body]
        headers = [*headers, ("content-length", str(len(body)))]
        sending = endpoint.send("POST", hook.path, headers=headers, chunks=self._chunks, stays=self._left)
        known = {row.id for row in rows("delivery")}
        self._reply: Future[Reply] = asyncio.run_coroutine_threadsafe(sending, loop())
        self._known = known

    def stored(self) -> str:
        """The id of its delivery, once it is committed; the test holds no body any more."""
        found: str = eventually(
            lambda: next((row.id for row in rows("delivery") if row.id not in self._known), None)
        )
        self._chunks.clear()
        return found

    def reply(self) -> Reply:
        return self._reply.result(SECONDS)

    @property
    def is_waiting(self) -> bool:
        return not self._reply.done()

    def leave(self) -> None:
        loop().call_soon_threadsafe(self._left.set)


def eventually(find: Callable[[], Any]) -> Any:
    """What is found, as soon as it is something."""
    give_up_at = time.monotonic() + SECONDS
    while not (found := find()):
        assert time.monotonic() < give_up_at, "it does not come"
        time.sleep(0.01)
    return found


def create_run(delivery_id: str, state: str = "running") -> str:
    """Create the run of a delivery as a dispatcher does, and start it; returns its id."""
    from inbound_webhooks.dispatch.dispatcher import Dispatcher
    from inbound_webhooks.settings import Settings
    from tests.infrastructure.webhooks_builder import change_run

    Dispatcher(Settings()).dispatch_due()
    run_id: str = delivery(delivery_id).run_id
    change_run(run_id, state=state)
    return run_id


def return_value(run_id: str, value: Any, *, task_id: str = "work", is_dag_result: bool = True) -> None:
    """Store what a task returned, as the Execution API does for a worker; ``value`` is its JSON value."""
    from airflow import settings
    from airflow.models.xcom import XComModel

    more = {"dag_result": is_dag_result} if "dag_result" in XComModel.__table__.c else {}
    with settings.NonScopedSession() as session, session.begin():
        XComModel.set(
            key="return_value",
            value=value,
            dag_id="orders",
            task_id=task_id,
            run_id=run_id,
            serialize=False,
            session=session,
            **more,
        )
