"""Mails: written in the transaction that records their outcome, claimed and marked by a sender.

A failure is mailed at once unless its webhook had a mail about a failure within the digest window; later
failures in the window are collected in one mail, due when the window ends, which then opens the next window.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import uuid_utils
from sqlalchemy import (
    Connection,
    Select,
    Text,
    bindparam,
    cast,
    func,
    insert,
    literal_column,
    select,
    text,
    update,
)

from inbound_webhooks.records.delivery_states import BEHAVIOUR
from inbound_webhooks.records.failed_task import FailedTask
from inbound_webhooks.records.webhook import Webhook
from inbound_webhooks.storage import tables
from inbound_webhooks.storage.outcomes import Outcome

MAX_ERROR_CHARS = 500


class MailState:
    """The states of a mail."""

    WAITING = "waiting"
    SENT = "sent"
    REFUSED = "refused"
    GIVEN_UP = "given_up"


class MailKind:
    """What a mail is about."""

    SUCCESS = "success"
    FAILURE = "failure"
    DRIFT = "drift"


@dataclass(frozen=True, kw_only=True)
class Mail:
    """A message to one recipient; ``due_at`` is the time of its first attempt.

    ``facts`` is the JSON content of a mail that is not about deliveries.
    """

    id: str
    webhook_id: str
    webhook_name: str
    kind: str
    recipient: str
    state: str
    created_at: datetime
    due_at: datetime
    attempts: int = 0
    next_attempt_at: datetime | None = None
    sent_at: datetime | None = None
    error: str | None = None
    facts: str | None = None


def kind_of(outcome: Outcome) -> str:
    """The kind of mail for an outcome; a run that could not be started counts as a failure."""
    return BEHAVIOUR[outcome.state].mail


# --- writing --------------------------------------------------------------------------------


def write_mails(
    connection: Connection, outcomes: Sequence[Outcome], *, at: datetime, digest_window_seconds: float
) -> int:
    """Write the mails that the webhooks of these outcomes ask for; return the number of new ones.

    Waits for other transactions that write mails of the same webhooks: both would otherwise see no mail to
    join, and send one each.
    """
    recipients = _recipients(connection, {outcome.webhook_id for outcome in outcomes})
    notified = [outcome for outcome in outcomes if recipients.get((outcome.webhook_id, kind_of(outcome)))]
    _lock_mails(connection, {outcome.webhook_id for outcome in notified})
    written = 0
    for outcome in notified:
        for recipient in recipients[outcome.webhook_id, kind_of(outcome)]:
            window = timedelta(seconds=digest_window_seconds)
            written += _write_or_join(connection, outcome, recipient, at, window)
    return written


def write_drift_mails(
    connection: Connection,
    webhook: Webhook,
    recipients: Sequence[str],
    facts: Mapping[str, Any],
    at: datetime,
) -> int:
    """Write mails about a mapping that no longer fits its DAG, one for each recipient; return how many."""
    rows = [
        asdict(
            Mail(
                id=uuid_utils.uuid7().hex,
                webhook_id=webhook.id,
                webhook_name=webhook.name,
                kind=MailKind.DRIFT,
                recipient=recipient,
                state=MailState.WAITING,
                created_at=at,
                due_at=at,
                next_attempt_at=at,
                facts=json.dumps(facts),
            )
        )
        for recipient in recipients
    ]
    if rows:
        connection.execute(insert(tables.mail), rows)
    return len(rows)


def _recipients(connection: Connection, webhook_ids: set[str]) -> Mapping[tuple[str, str], list[str]]:
    columns = tables.webhook.c
    rows = connection.execute(
        select(columns.id, columns.notify_success, columns.notify_failure).where(columns.id.in_(webhook_ids))
    )
    found = {}
    for row in rows:
        found[row.id, MailKind.SUCCESS] = json.loads(row.notify_success)
        found[row.id, MailKind.FAILURE] = json.loads(row.notify_failure)
    return found


def _lock_mails(connection: Connection, webhook_ids: Iterable[str]) -> None:
    """Lock the mails of these webhooks until the transaction ends; SQLite has a single writer anyway.

    An advisory lock: a lock on the webhook's row would block the receiver, which locks it with each request.
    """
    if connection.dialect.name == "postgresql":
        # Sorted, so that two transactions cannot wait for each other.
        for webhook_id in sorted(webhook_ids):
            key = func.hashtextextended(cast(f"inbound_webhook_mail {webhook_id}", Text), 0)
            connection.execute(select(func.pg_advisory_xact_lock(key)))


def _write_or_join(
    connection: Connection, outcome: Outcome, recipient: str, at: datetime, window: timedelta
) -> bool:
    """Write a mail, or add the outcome to one that no sender has claimed yet; True for a new mail."""
    mail = Mail(
        id=uuid_utils.uuid7().hex,
        webhook_id=outcome.webhook_id,
        webhook_name=outcome.webhook_name,
        kind=kind_of(outcome),
        recipient=recipient,
        state=MailState.WAITING,
        created_at=at,
        due_at=at,
        next_attempt_at=at,
    )
    if mail.kind == MailKind.FAILURE and window:
        last = _last_mail(connection, mail, until=at + window)
        # Not yet claimed: the recipient gets one mail with both failures.
        if last is not None and _lock_unsent(connection, last.id):
            _add_to_mail(connection, last.id, outcome)
            return False
        # Sent or being sent within the window: this failure waits for the window's end.
        if last is not None and at < last.due_at + window:
            mail = replace(mail, due_at=last.due_at + window, next_attempt_at=last.due_at + window)
    connection.execute(insert(tables.mail), asdict(mail))
    _add_to_mail(connection, mail.id, outcome)
    return True


def _last_mail(connection: Connection, mail: Mail, *, until: datetime) -> Any:
    """The last mail of the same kind to the same recipient.

    Mails due later than ``until`` are ignored: they come from a host whose clock is ahead, and would hold
    back all further failures until its time.
    """
    columns = tables.mail.c
    return connection.execute(
        select(columns.id, columns.due_at)
        .where(
            columns.webhook_id == mail.webhook_id,
            columns.kind == mail.kind,
            columns.recipient == mail.recipient,
            columns.due_at <= until,
        )
        .order_by(columns.due_at.desc())
        .limit(1)
    ).first()


def _lock_unsent(connection: Connection, mail_id: str) -> bool:
    """Whether no sender has claimed the mail yet; none can until the transaction ends."""
    columns = tables.mail.c
    unsent = (columns.id == mail_id, columns.state == MailState.WAITING, columns.attempts == 0)
    # An UPDATE that changes nothing locks the row and checks it again, on both databases.
    return connection.execute(update(tables.mail).where(*unsent).values(attempts=0)).rowcount == 1


def _add_to_mail(connection: Connection, mail_id: str, outcome: Outcome) -> None:
    columns = tables.mail_delivery.c
    last = connection.scalar(select(func.max(columns.position)).where(columns.mail_id == mail_id))
    row = {
        "mail_id": mail_id,
        "position": 0 if last is None else last + 1,
        "delivery_id": outcome.delivery_id,
        "outcome": _dump(outcome),
    }
    connection.execute(insert(tables.mail_delivery), row)


# --- sending --------------------------------------------------------------------------------


def is_mail_due(connection: Connection, now: datetime) -> bool:
    """Whether a mail is due; checked without a lock before a claim, since there mostly is none."""
    due = select(tables.mail.c.id).where(text(tables.WAITING), tables.mail.c.next_attempt_at <= now)
    return connection.scalar(due.limit(1)) is not None


def claim_mail(connection: Connection, now: datetime, *, until: datetime, after: str) -> Mail | None:
    """Claim the next due mail until a time, and count the attempt; None if another sender won.

    Mails about failures come before those about successes. Within a kind, webhooks take turns in the order of
    their ids: ``after`` is the webhook of the last claim. The mail that has waited longest is a webhook's
    next one.

    The claim is committed before the mail is sent, so that no transaction stays open while an SMTP server is
    slow. The number of attempts identifies the claim, see :func:`mark_mail`.
    """
    for kind in _BY_URGENCY:
        # From the last webhook on, then again from the first one.
        for start in dict.fromkeys((after, "")):
            row = connection.execute(_NEXT_MAIL[kind], {"now": now, "after": start}).first()
            if row is not None:
                mail = Mail(**row._mapping)
                claimed = replace(mail, attempts=mail.attempts + 1, next_attempt_at=until)
                won = mark_mail(connection, mail, attempts=claimed.attempts, next_attempt_at=until)
                return claimed if won else None
    return None


def _next_mail(kind: str) -> Select[Any]:
    columns = tables.mail.c
    # Literals and the index's own order, so that both databases probe the index of turns.
    return (
        select(*(columns[name] for name in Mail.__dataclass_fields__))
        .where(
            text(tables.WAITING),
            columns.kind == literal_column(f"'{kind}'"),
            columns.webhook_id > bindparam("after"),
            columns.next_attempt_at <= bindparam("now"),
        )
        .order_by(columns.kind, columns.webhook_id, columns.next_attempt_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    )


_BY_URGENCY = (MailKind.FAILURE, MailKind.DRIFT, MailKind.SUCCESS)
_NEXT_MAIL = {kind: _next_mail(kind) for kind in _BY_URGENCY}


def listed_outcomes(connection: Connection, mail_id: str, limit: int) -> tuple[int, list[Outcome]]:
    """The number of deliveries that a mail is about, and the first ones."""
    columns = tables.mail_delivery.c
    listed = columns.mail_id == mail_id
    total = connection.scalar(select(func.count()).where(listed)) or 0
    rows = connection.scalars(select(columns.outcome).where(listed).order_by(columns.position).limit(limit))
    return total, [_load(stored) for stored in rows]


def mark_mail(connection: Connection, mail: Mail, **values: Any) -> bool:
    """Record the result of an attempt; False if the claim has expired and another sender has the mail."""
    columns = tables.mail.c
    # The number of attempts identifies the claim: a later claim has raised it.
    as_claimed = (
        columns.id == mail.id,
        columns.state == MailState.WAITING,
        columns.attempts == mail.attempts,
    )
    return connection.execute(update(tables.mail).where(*as_claimed).values(values)).rowcount == 1


# --- reading --------------------------------------------------------------------------------


def mails_of_delivery(connection: Connection, delivery_id: str, limit: int = 200) -> list[Mail]:
    """The mails about a delivery, oldest first."""
    columns, listed = tables.mail.c, tables.mail_delivery.c
    rows = connection.execute(
        select(*(columns[name] for name in Mail.__dataclass_fields__))
        .join(tables.mail_delivery, listed.mail_id == columns.id)
        .where(listed.delivery_id == delivery_id)
        .order_by(columns.created_at, columns.id)
        .limit(limit)
    )
    return [Mail(**row._mapping) for row in rows]


_TIMES = ("received_at", "started_at", "finished_at")


def _dump(outcome: Outcome) -> str:
    values = asdict(outcome)
    times = {name: values[name] and values[name].isoformat() for name in _TIMES}
    if outcome.asset is None:
        del values["asset"]  # an older version knows no such field
    return json.dumps(values | times)


def _load(stored: str) -> Outcome:
    values = json.loads(stored)
    times = {name: values[name] and datetime.fromisoformat(values[name]) for name in _TIMES}
    tasks = tuple(FailedTask(**task) for task in values["failed_tasks"])
    return Outcome(**values | times | {"failed_tasks": tasks})
