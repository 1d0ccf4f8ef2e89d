"""A time that passes when a test says so."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

AT = datetime(2030, 1, 1, 12, tzinfo=timezone.utc)


class Clock:
    """Called for the time; ``at`` is it."""

    def __init__(self) -> None:
        self.at = AT

    def __call__(self) -> datetime:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def mail_server(monkeypatch):
    """A running SMTP server, to which the connection smtp_default leads."""
    from tests.infrastructure.mail_server import MailServer

    server = MailServer()
    monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", server.connection())
    server.start()
    yield server
    server.stop()
