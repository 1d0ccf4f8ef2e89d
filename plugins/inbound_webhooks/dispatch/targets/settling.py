"""When a task that waits may be resumed: once Airflow's scheduler has noticed that its worker is gone.

If it notices only after it has queued the resumed task, it takes the exit for the end of that task, which is
in no final state, and fails it (``process_executor_events``). Airflow's own triggers can meet the same race.
No row shows it: for a parked task the scheduler writes nothing, and neither the worker's exit nor the upload
of its log is recorded. So the dispatcher waits for a time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from inbound_webhooks.airflow_bridge.task_instances import DueCall
from inbound_webhooks.settings import Settings


class Settling:
    """Remembers since when this process has seen tasks parked."""

    def __init__(self, settings: Settings, *, now: Callable[[], datetime]) -> None:
        self.after = timedelta(seconds=settings.wait_settle_seconds)
        self._now = now
        self._seen_parked: dict[str, float] = {}

    def settled(self, due: Sequence[DueCall]) -> list[str]:
        """The ids of those whose tasks may be resumed, or do not wait any more."""
        seen = time.monotonic()
        # Those that are no longer due are forgotten.
        self._seen_parked = {each.id: self._seen_parked.get(each.id, seen) for each in due}
        return [each.id for each in due if self._has_settled(each)]

    def _has_settled(self, due: DueCall) -> bool:
        if due.parked_since is None or due.parked_since <= self._now() - self.after:
            return True
        # The clock of the api-server that parked it may be ahead.
        return time.monotonic() - self._seen_parked[due.id] >= self.after.total_seconds()
