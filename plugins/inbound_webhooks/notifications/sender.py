"""Sends due mails: claims one, sends it outside any transaction, records the result."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from inbound_webhooks.errors import DatabaseUnavailable, MailError
from inbound_webhooks.event.retry import next_mail_at
from inbound_webhooks.monitoring import metrics
from inbound_webhooks.monitoring.clock import utc_now
from inbound_webhooks.monitoring.log_lines import get_logger
from inbound_webhooks.monitoring.loop import log_unexpected_error
from inbound_webhooks.notifications.drift_rendering import drift_text
from inbound_webhooks.notifications.rendering import MAX_LISTED, MailTemplates
from inbound_webhooks.notifications.transport import send
from inbound_webhooks.settings import Settings, airflow_url
from inbound_webhooks.storage import mails
from inbound_webhooks.storage.database import autocommit, begin_writing, transaction
from inbound_webhooks.storage.mails import MAX_ERROR_CHARS, Mail, MailKind, MailState

log = get_logger(__name__)

POLL_SECONDS = 1.0

CLAIM = timedelta(minutes=5)
"""How long a claim lasts; after it another sender may take the mail. Each SMTP step times out after 30
seconds, unless the connection sets another timeout."""


class NotificationSender:
    """Any number may run at once. A mail is sent once, and again only if its sender died or hung."""

    def __init__(self, settings: Settings, *, now: Callable[[], datetime] = utc_now) -> None:
        self._templates = MailTemplates(settings)
        self._now = now
        self._last_webhook_id = ""

    def send_due(self) -> bool:
        """Send one mail; True if it is settled, so that the next one may follow immediately.

        :raises DatabaseUnavailable: nothing was sent, or the result could not be recorded
        """
        mail = self._claim()
        if mail is None:
            return False
        try:
            self._send(mail)
        # Nothing was lost: the claim expires, and the mail is sent again.
        except DatabaseUnavailable:
            raise
        except MailError as error:
            self._record_failure(mail, error)
            # The server refused this mail for good; it did answer, so the next mail may follow.
            return error.permanent
        except Exception as error:  # noqa: BLE001 - a backend may raise anything; other mails must be sent
            log_unexpected_error(f"mail {mail.id}", error)
            self._record_failure(mail, MailError(f"The mail could not be sent ({type(error).__name__})."))
            return False
        self._record(mail, state=MailState.SENT, next_attempt_at=None, sent_at=self._now(), error=None)
        metrics.count(f"mails.{MailState.SENT}")
        log.info("mail sent action=mail_sent mail=%s webhook=%s", mail.id, mail.webhook_id)
        return True

    def _claim(self) -> Mail | None:
        now = self._now()
        # Most polls find nothing, and must not take SQLite's write lock for it.
        if not autocommit(lambda connection: mails.is_mail_due(connection, now)):
            return None
        with transaction() as connection:
            begin_writing(connection)
            mail = mails.claim_mail(connection, now, until=now + CLAIM, after=self._last_webhook_id)
        if mail is not None:
            self._last_webhook_id = mail.webhook_id
        return mail

    def _send(self, mail: Mail) -> None:
        if mail.kind == MailKind.DRIFT:
            rendered = drift_text(mail, base_url=airflow_url())
        else:
            with transaction() as connection:
                total, outcomes = mails.listed_outcomes(connection, mail.id, MAX_LISTED)
            rendered = self._templates.render(mail, outcomes, total=total, base_url=airflow_url())
        # The id is the same for each attempt, so that mailboxes recognise a repetition.
        send(mail.recipient, rendered, message_id=f"<{mail.id}@inbound-webhooks.airflow>")

    def _record_failure(self, mail: Mail, error: MailError) -> None:
        again_at = None if error.permanent else next_mail_at(self._now(), mail.attempts)
        state = MailState.WAITING
        if again_at is None:
            state = MailState.REFUSED if error.permanent else MailState.GIVEN_UP
        self._record(mail, state=state, next_attempt_at=again_at, error=error.message[:MAX_ERROR_CHARS])
        if again_at is None:
            metrics.count(f"mails.{state}")
        log.warning("mail not sent action=mail_%s mail=%s attempts=%d", state, mail.id, mail.attempts)

    # A transaction of its own: none is open while the mail is being sent.
    def _record(self, mail: Mail, **values: Any) -> None:
        with transaction() as connection:
            mails.mark_mail(connection, mail, **values)
