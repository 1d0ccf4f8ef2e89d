"""Waiting tasks under kills: workers park them, senders call, and the database says what came of both."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any
from uuid import UUID

import requests

ATTEMPT_SECONDS = 20
GIVE_UP_SECONDS = 300
PAUSE_SECONDS = 0.3
TIMEOUT = timedelta(hours=1)

PARKED = ("awaiting_input", "scheduled")
"""States of a task that waits, and of one that was resumed."""


@dataclass(frozen=True)
class Call:
    """A task that waits, the number of its call, and the order in which call and worker come."""

    wait_id: str
    run_id: str
    path: str
    number: int

    @property
    def is_early(self) -> bool:
        """Whether the call comes before the worker has parked the task."""
        return self.number % 3 == 0

    @property
    def is_repeated(self) -> bool:
        """Whether the sender calls a second time, as one that has not noticed the response."""
        return self.number % 10 == 0


def store_calls(count: int) -> list[Call]:
    """Store tasks that run and have registered their waits."""
    from tests.infrastructure.waits_builder import STARTING, store_waiting_task

    stored = [
        store_waiting_task(run_id=f"run_{number}", timeout=TIMEOUT, **STARTING) for number in range(count)
    ]
    return [Call(waiting.id, waiting.run_id, waiting.path, number) for number, waiting in enumerate(stored)]


@dataclass(frozen=True)
class Worker:
    """Parks tasks as a worker does, by the Execution API's client of the task SDK."""

    url: str

    def park(self, call: Call) -> None:
        """Let the task wait; repeated while the api-server is away.

        The client repeats a request whose response was lost, also one that was carried out: then the task
        waits already, or was resumed meanwhile.
        """
        from airflow.sdk.api.client import Client, ServerResponseError
        from airflow.sdk.execution_time.comms import AwaitInputTask

        message = AwaitInputTask(next_method="complete_wait", next_kwargs={}, timeout=TIMEOUT)
        with Client(base_url=f"{self.url}/execution/", token=_token_of(call.wait_id)) as client:
            try:
                client.task_instances.await_input(UUID(call.wait_id), message)
            except ServerResponseError as error:
                detail = error.detail if isinstance(error.detail, dict) else {}
                if detail.get("previous_state") not in PARKED:
                    raise


def post(base: str, call: Call) -> list[int]:
    """Call until the response is 2xx; the status of each attempt, 0 where no response came."""
    statuses = list(_attempts(f"{base}{call.path}", call.number))
    if call.is_repeated:
        statuses += _attempts(f"{base}{call.path}", call.number)
    return statuses


def _attempts(url: str, number: int) -> Iterator[int]:
    give_up_at = time.monotonic() + GIVE_UP_SECONDS
    while time.monotonic() < give_up_at:
        try:
            status = requests.post(url, json={"number": number}, timeout=ATTEMPT_SECONDS).status_code
        except requests.RequestException:
            status = 0
        yield status
        if status // 100 == 2:
            return
        time.sleep(PAUSE_SECONDS)
    raise TimeoutError(f"call {number} was never taken")


def problems_of(calls: Sequence[Call]) -> list[str]:
    """What is wrong once all is quiet: each call resumes its own task, once."""
    from tests.infrastructure.webhooks_builder import rows

    waits = {row.id: row for row in rows("wait")}
    stored: dict[str, list[Any]] = {}
    for row in rows("delivery"):
        stored.setdefault(row.wait_id, []).append(row)
    return [
        f"call {call.number}: {found}"
        for call in calls
        if (found := _facts(call, waits[call.wait_id], stored.get(call.wait_id, []))) != _expected(call)
    ]


def _facts(call: Call, wait: Any, deliveries: Sequence[Any]) -> dict[str, Any]:
    from tests.infrastructure.waits_builder import Waiting, event_of, task_of

    event = event_of(Waiting(call.wait_id, call.run_id)) or {"outcome": "{}"}
    result = json.loads(event["outcome"]).get("result") or {}
    return {
        "task": task_of(call.run_id).state,
        "wait": wait.state,
        "deliveries": [row.state for row in deliveries],
        "number": result.get("body", {}).get("number"),
    }


def _expected(call: Call) -> dict[str, Any]:
    return {"task": "scheduled", "wait": "resumed", "deliveries": ["succeeded"], "number": call.number}


@cache
def _tokens() -> Any:
    from airflow.executors.base_executor import BaseExecutor

    return BaseExecutor().jwt_generator


def _token_of(wait_id: str) -> str:
    token: str = _tokens().generate({"sub": str(UUID(wait_id)), "scope": "execution"})
    return token
