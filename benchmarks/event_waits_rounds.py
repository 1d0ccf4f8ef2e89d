"""The rounds of `event_waits`, in a process of their own whose environment leads Airflow to the database.

Prints one line of JSON: the seconds of each event.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any

from tests.infrastructure.waits_builder import DAG_ID, event_of, store_matching_task, tasks_at
from tests.infrastructure.webhooks_builder import Hook, store_delivery, store_webhook

HEADERS = '[["Content-Type", "application/json"]]'
REGISTERED_AT_ONCE = 100


def main(waits: int, events: int) -> None:
    """Let so many tasks wait for one webhook, and resume some of them, one event after the other."""
    logging.disable(logging.INFO)
    hook = store_webhook("awaited", dag_id="", waiting_dags=(DAG_ID,))
    waiting = [_waiting(number) for number in range(waits)]
    for _ in range(0, waits, REGISTERED_AT_ONCE):
        tasks_at().review()
    tasks = tasks_at()
    tasks.review()
    # The last ones, so that the order of the waits does not help.
    taken = [_resume(tasks, hook, number) for number in range(waits - events, waits)]
    assert all(event_of(each) for each in waiting[-events:])
    assert not any(event_of(each) for each in waiting[:-events])
    print(json.dumps(taken))


def _waiting(number: int) -> Any:
    return store_matching_task(
        webhook="awaited", match={"body.data.runId": number}, run_id=f"run{number}", registers=False
    )


def _resume(tasks: Any, hook: Hook, number: int) -> float:
    """The seconds from a stored event to the resumed task."""
    body = json.dumps({"eventType": "job.run.completed", "data": {"runId": str(number)}}).encode()
    store_delivery(hook, dag_id="", next_attempt_at=None, to_match=True, headers=HEADERS, body=body)
    started = time.perf_counter()
    tasks.look()
    return time.perf_counter() - started


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
