"""The DAGs of the callbacks: a task that waits for a call, and a deferrable sensor that polls for a file.

Both leave files in the folder ``BENCH_CALLBACKS``: the URL of the call, and when they went on.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from airflow.providers.standard.sensors.filesystem import FileSensor
from airflow.sdk import DAG, get_current_context

from inbound_webhooks.operators import WaitForWebhook

FOLDER = Path(os.environ.get("BENCH_CALLBACKS", "."))
POLL_SECONDS = 5


def leave(name: str, text: str) -> None:
    """Write a file of this run; it is there with its text or not at all."""
    run_id = get_current_context()["run_id"]
    unfinished = FOLDER / f"{run_id}.{name}.unfinished"
    unfinished.write_text(text)
    unfinished.rename(FOLDER / f"{run_id}.{name}")


def hand_out(callback_url: str) -> None:
    """What starts the job elsewhere."""
    leave("url", callback_url)


class TimedWait(WaitForWebhook):
    """Notes when it goes on."""

    def complete_wait(self, context: Any, event: Mapping[str, Any]) -> Any:
        """The first line after the wait."""
        leave("line", repr(time.time()))
        return super().complete_wait(context, event)


class TimedSensor(FileSensor):
    """Notes when it goes on."""

    def execute_complete(self, context: Any, event: bool | None = None) -> None:
        """The first line after the wait."""
        leave("line", repr(time.time()))
        super().execute_complete(context, event)


with DAG(dag_id="bench_callback", schedule=None, catchup=False, max_active_runs=100):
    TimedWait(task_id="wait", start=hand_out)

with DAG(dag_id="bench_sensor", schedule=None, catchup=False, max_active_runs=100):
    TimedSensor(
        task_id="wait",
        filepath=str(FOLDER / "{{ run_id }}.done"),
        deferrable=True,
        poke_interval=POLL_SECONDS,
    )
