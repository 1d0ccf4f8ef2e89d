"""Sends mail the way Airflow does: its custom backend, else the SMTP provider's hook."""

from __future__ import annotations

import smtplib
from collections.abc import Callable
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import formatdate, parseaddr
from inspect import signature
from typing import Any

from airflow.configuration import conf
from airflow.exceptions import AirflowException
from email_validator import EmailNotValidError

from inbound_webhooks.errors import MailError, MailRefused
from inbound_webhooks.notifications.rendering import RenderedMail
from inbound_webhooks.webhooks.recipients import envelope_address

DEFAULT_BACKEND = "airflow.utils.email.send_email_smtp"
"""Airflow's default of [email] email_backend; with it, the SMTP provider is used."""

TEXT_PARAMETER = "text_content"
"""What a custom backend calls the parameter for the text part; Airflow's own interface has HTML alone."""

MAX_REPLY_CHARS = 300
PERMANENT = range(500, 600)


def send(recipient: str, mail: RenderedMail, *, message_id: str) -> None:
    """Send a mail to one recipient.

    :raises MailRefused: the address is none, or the server answered 5xx to this mail or cannot take the
        address, so another attempt is pointless
    :raises MailError: it failed this time
    :raises Exception: whatever a custom backend raises
    """
    try:
        # Checked again: addresses of the operators' setting were not, and no line break may reach a header.
        recipient = envelope_address(recipient)
    except EmailNotValidError as error:
        raise MailRefused(f"{recipient!r} is not an e-mail address: {error}") from None
    try:
        if conf.get("email", "email_backend", fallback=DEFAULT_BACKEND) not in ("", DEFAULT_BACKEND):
            _send_by_backend(recipient, mail)
        else:
            _send_by_smtp(recipient, mail, message_id)
    except smtplib.SMTPRecipientsRefused as error:
        # One recipient per mail, so the first entry is the only one.
        raise _refusal(*next(iter(error.recipients.values()))) from None
    except (smtplib.SMTPSenderRefused, smtplib.SMTPDataError) as error:
        raise _refusal(error.smtp_code, error.smtp_error) from None
    except smtplib.SMTPResponseException as error:
        # A failed login or a server that is shutting down: not about this mail.
        raise MailError(_reply(error.smtp_code, error.smtp_error)) from None
    except (smtplib.SMTPException, OSError) as error:
        raise MailError(f"The mail server cannot be used: {type(error).__name__}: {error}") from None


def _send_by_backend(recipient: str, mail: RenderedMail) -> None:
    """Call the backend as Airflow does for alerts of tasks (airflow.sdk.execution_time.email_backend)."""
    backend = conf.getimport("email", "email_backend")
    text = {TEXT_PARAMETER: mail.text} if _takes_text(backend) else {}
    backend(
        recipient,
        mail.subject,
        mail.html,
        conn_id=conf.get("email", "email_conn_id", fallback=None),
        from_email=conf.get("email", "from_email", fallback=None),
        **text,
    )


def _takes_text(backend: Callable[..., Any]) -> bool:
    """Whether a backend names the parameter; one that takes any may pass it on to what does not."""
    try:
        return TEXT_PARAMETER in signature(backend).parameters
    except (TypeError, ValueError):  # a callable that does not tell its parameters
        return False


def _send_by_smtp(recipient: str, mail: RenderedMail, message_id: str) -> None:
    try:
        # The provider is optional: without mail, the plugin does not need it.
        from airflow.providers.smtp.hooks.smtp import SmtpHook
    except ImportError:
        raise MailError("apache-airflow-providers-smtp is not installed.") from None

    class OneTryHook(SmtpHook):
        """Without the hook's own retries: a refusal is final, and other failures have our schedule."""

        @property
        def smtp_retry_limit(self) -> int:
            return 0

        def send(self, message: EmailMessage) -> None:
            # The hook's own method sends HTML alone.
            assert isinstance(self._smtp_client, smtplib.SMTP)
            if message["From"] is None:
                if not self.from_email:
                    raise AirflowException("neither [email] from_email nor the connection names a sender")
                message["From"] = self.from_email
            _send(self._smtp_client, recipient, message)

    try:
        with OneTryHook(conf.get("email", "email_conn_id", fallback="smtp_default")) as hook:
            hook.send(_message(recipient, mail, message_id))
    except AirflowException as error:
        raise MailError(f"The mail could not be sent: {error}") from None


def _message(recipient: str, mail: RenderedMail, message_id: str) -> EmailMessage:
    """A message with both bodies: the text, and HTML for programs that show it."""
    # Headers beyond ASCII are encoded, unless the recipient's address needs a server with SMTPUTF8 anyway.
    message = EmailMessage(policy=SMTP if recipient.isascii() else SMTPUTF8)
    message["Message-ID"] = message_id
    # Keeps vacation responders quiet (RFC 3834).
    message["Auto-Submitted"] = "auto-generated"
    message["Date"] = formatdate(localtime=True)
    message["To"], message["Subject"] = recipient, mail.subject
    if sender := conf.get("email", "from_email", fallback=None):
        message["From"] = sender
    message.set_content(mail.text)
    message.add_alternative(mail.html, subtype="html")
    return message


def _send(client: smtplib.SMTP, recipient: str, message: EmailMessage) -> None:
    """Send; an address whose local part is not ASCII needs a server with SMTPUTF8 (RFC 6531)."""
    try:
        client.send_message(message, parseaddr(message["From"])[1], [recipient])
    except smtplib.SMTPNotSupportedError:
        raise MailRefused(f"The mail server does not take {recipient!r}: it lacks SMTPUTF8.") from None


def _refusal(code: int, reply: bytes | str) -> MailError:
    kind = MailRefused if code in PERMANENT else MailError
    return kind(_reply(code, reply))


def _reply(code: int, reply: bytes | str) -> str:
    said = reply.decode("utf-8", "replace") if isinstance(reply, bytes) else reply
    return f"The mail server answered {code} {' '.join(said.split())}"[:MAX_REPLY_CHARS]
