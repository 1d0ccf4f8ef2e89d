"""What goes on while a stream is sent: runs end, and a webhook is put on hold and released."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timezone

import psycopg2

from tests.acceptance.chaos.background import Background
from tests.acceptance.chaos.outcomes import OnHold

ROUND_SECONDS = 0.3
RETRY_SECONDS = 0.5
GIVE_UP_SECONDS = 120


class Workers(Background):
    """Lets about half of the runs that there are succeed each round, as scheduler and workers do."""

    def __init__(self, database_url: str) -> None:
        super().__init__()
        self._url = database_url.replace("+psycopg2", "")
        self.ended = 0

    def work(self) -> None:
        while not self.is_stopped_within(ROUND_SECONDS):
            try:
                self._end_some()
            # The server was killed, and is started again; a connection that is lost cannot be rolled back.
            except (psycopg2.OperationalError, psycopg2.InterfaceError):
                continue

    def _end_some(self) -> None:
        connection = psycopg2.connect(self._url)
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(_END)
                self.ended += cursor.rowcount
        finally:
            connection.close()


class Owner(Background):
    """Puts a webhook on hold after a part of the stream, and releases it after another one."""

    def __init__(self, webhook_id: str, progress: Callable[[], float]) -> None:
        super().__init__()
        self._webhook_id = webhook_id
        self._progress = progress
        self.held: OnHold | None = None

    def work(self) -> None:
        from inbound_webhooks.webhooks import hold

        self._wait_for(1 / 3)
        _until_done(lambda: hold.hold(self._webhook_id, actor="the owner"))
        begin = _now()
        self._wait_for(2 / 3)
        self.held = OnHold(begin, _now())
        _until_done(lambda: hold.release(self._webhook_id, actor="the owner"))

    def _wait_for(self, part: float) -> None:
        while self._progress() < part:
            if self.is_stopped_within(RETRY_SECONDS):
                return


def _until_done(change: Callable[[], object]) -> None:
    """Repeat a change while the database is away."""
    from inbound_webhooks.errors import DatabaseUnavailable

    give_up_at = time.monotonic() + GIVE_UP_SECONDS
    while True:
        try:
            change()
        except DatabaseUnavailable:
            if time.monotonic() > give_up_at:
                raise
            time.sleep(RETRY_SECONDS)
        else:
            return


def _now() -> datetime:
    return datetime.now(timezone.utc)


_END = """
UPDATE dag_run SET state = 'success', start_date = coalesce(start_date, clock_timestamp()),
    end_date = clock_timestamp(), updated_at = clock_timestamp()
WHERE id IN (SELECT id FROM dag_run WHERE state = 'queued' AND random() < 0.5 FOR UPDATE SKIP LOCKED)
"""
