"""Mails of one webhook hold up no other one's: failures come first, and webhooks take turns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.infrastructure.webhooks_builder import rows, store_webhook
from tests.integration.dispatch.conftest import AT, Clock
from tests.integration.dispatch.test_notifications import outcome, send_all, store_mail


@pytest.fixture
def mail_server(monkeypatch) -> Iterator[Any]:
    """A running SMTP server, to which the connection smtp_default leads."""
    from tests.infrastructure.mail_server import MailServer

    server = MailServer()
    monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", server.connection())
    server.start()
    yield server
    server.stop()


def mails_of(name: str, count: int, state: str) -> None:
    """Write mails about this many runs of a webhook, to NAME@example.com."""
    from inbound_webhooks.storage.database import transaction
    from inbound_webhooks.storage.mails import write_mails

    to = [f"{name}@example.com"]
    hook = store_webhook(name, notify_failure=to, notify_success=to)
    outcomes = [outcome(hook, number, state=state, failed_tasks=()) for number in range(count)]
    with transaction() as connection:
        write_mails(connection, outcomes, at=AT, digest_window_seconds=0)


def make_sender():
    from inbound_webhooks.notifications.sender import NotificationSender
    from inbound_webhooks.settings import Settings

    clock = Clock()
    return NotificationSender(Settings(), now=clock)


def sent_to(mail_server) -> list[str]:
    return [message["To"].partition("@")[0] for message in mail_server.messages]


def test_a_failure_is_sent_before_all_successes_of_another_webhook(database, mail_server):
    mails_of("flooded", 30, "succeeded")
    mails_of("broken", 1, "failed")
    send_all(make_sender())
    assert sent_to(mail_server) == ["broken"] + ["flooded"] * 30


@pytest.mark.parametrize("state", ["failed", "succeeded"])
def test_webhooks_take_turns(database, mail_server, state):
    mails_of("flooded", 20, state)
    mails_of("quiet", 2, state)
    mails_of("silent", 2, state)
    send_all(make_sender())
    sent = sent_to(mail_server)
    # Whatever the order of their ids is.
    assert set(sent[:3]) == set(sent[3:6]) == {"flooded", "quiet", "silent"}


def test_a_mail_whose_time_has_not_come_is_no_turn(database, mail_server):
    mails_of("due", 2, "succeeded")
    store_mail(hook=store_webhook("later", notify_failure=["later@example.com"]), at=AT.replace(year=2031))
    send_all(make_sender())
    assert sent_to(mail_server) == ["due", "due"]
    assert sorted(row.state for row in rows("mail")) == ["sent", "sent", "waiting"]
