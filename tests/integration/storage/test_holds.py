"""What is asked each second about held deliveries reads no history."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import event

from inbound_webhooks.storage import holds
from tests.infrastructure.webhooks_builder import store_deliveries, store_webhook

HISTORY = "idx_inbound_webhook_delivery_history"
QUESTIONS: dict[str, Callable[..., Any]] = {
    "work": lambda connection, _: holds.webhooks_with_work(connection),
    "number": lambda connection, hook: holds.count_held(connection, hook.id, 5),
    "number of all": lambda connection, _: holds.count_all_held(connection),
    "first": lambda connection, hook: holds.first_held(connection, hook.id, 5),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_only_deliveries_that_are_not_due_are_read(sqlite_database, question):
    from airflow import settings

    hook = store_webhook()
    store_deliveries(hook, 3, state="held", next_attempt_at=None)
    asked = []

    def note(_connection, _cursor, statement, parameters, *_):
        asked.append((statement, parameters))

    with settings.engine.connect() as connection:
        event.listen(connection, "before_cursor_execute", note)
        QUESTIONS[question](connection, hook)
        event.remove(connection, "before_cursor_execute", note)
        plans = [
            row[3]
            for statement, parameters in asked
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        ]
    assert any("not_due" in step for step in plans)
    assert [step for step in plans if HISTORY in step] == []
