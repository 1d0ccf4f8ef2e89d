"""The trigger of a waiting task in Airflow 3.2, where a task cannot wait without one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent


class CallTrigger(BaseTrigger):
    """Waits until the triggerer cancels it: the dispatcher resumes the task, and with that removes it."""

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class's path, and no arguments."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield nothing, ever."""
        await asyncio.Event().wait()
        yield TriggerEvent(None)
