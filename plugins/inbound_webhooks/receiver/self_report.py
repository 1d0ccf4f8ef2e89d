"""Each process of the endpoint looks at its environment, from its start on, and reports what is wrong.

The log and the health report have it from the process itself, the pages and ``airflow webhooks check`` from
the database.
"""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

from inbound_webhooks.errors import DatabaseUnavailable, Problem
from inbound_webhooks.monitoring.clock import utc_now
from inbound_webhooks.monitoring.environment import ENVIRONMENT, Environment
from inbound_webhooks.monitoring.health import DATABASE_UNAVAILABLE, Health
from inbound_webhooks.monitoring.loop import repeating
from inbound_webhooks.storage.database import transaction
from inbound_webhooks.storage.dispatchers import HOST_CHARS
from inbound_webhooks.storage.endpoints import EndpointProcess, save_problems
from inbound_webhooks.storage.threads import run_in_thread

REPORT_SECONDS = 10.0
"""How often a process looks at its environment; a third of the time after which a report is outdated."""


class SelfReport:
    """The report of one process in the database."""

    def __init__(
        self, environment: Environment = ENVIRONMENT, *, now: Callable[[], datetime] = utc_now
    ) -> None:
        host = socket.gethostname()[:HOST_CHARS]
        self._process = EndpointProcess(id=uuid.uuid4().hex, host=host, pid=os.getpid())
        self._environment = environment
        self._now = now
        self._is_stored = False

    def save(self) -> None:
        """Store the current problems; nothing is written while there are none."""
        # An unreachable database cannot be written, and readers see it by themselves.
        self._write([found for found in self._environment.problems() if found.code != DATABASE_UNAVAILABLE])

    def end(self) -> None:
        """Remove the report, since the process ends."""
        self._write([])

    def _write(self, problems: Sequence[Problem]) -> None:
        if not problems and not self._is_stored:
            return
        known = {problem.code for problem in self._environment.problems()}
        try:
            with transaction() as connection:
                save_problems(connection, self._process, problems, self._now())
        except DatabaseUnavailable as error:
            # Logged already; readers ignore old reports, and retention deletes them. A report that cannot be
            # written, for want of a privilege on its table alone, does not stop the endpoint.
            if error.code not in known:
                self._environment.resolve(error.code)
            return
        self._is_stored = bool(problems)


@asynccontextmanager
async def reporting(health: Health) -> AsyncIterator[None]:
    """Report from now on, until the endpoint stops."""
    report = SelfReport()

    async def look() -> None:
        # The health report asks the database the way the endpoint does.
        await health.report()
        await run_in_thread(report.save)

    try:
        async with repeating("report", look, seconds=REPORT_SECONDS):
            yield
    finally:
        await run_in_thread(report.end)
