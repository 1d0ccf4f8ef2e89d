"""Mails: written with the outcome that they tell, claimed and marked by whoever sends them.

A failure is told at once where none of its webhook was told in the digest window before; what fails later
in the window is collected in one mail that is due at its end, and that mail opens the next window.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import uuid_utils
from sqlalchemy import Connection, Text, cast, func, insert, select, text, update

from inbound_webhooks.records.delivery import State
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
    """What a mail tells."""

    SUCCESS = "success"
    FAILURE = "failure"
    DRIFT = "drift"


@dataclass(frozen=True, kw_only=True)
class Mail:
    """One message to one address. ``due_at``: when it was to be sent first.

    ``facts``: what it tells where it is about no delivery, as JSON.
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
    """What a mail about this outcome is: what could not start has failed."""
    return MailKind.SUCCESS if outcome.state == State.SUCCEEDED else MailKind.FAILURE


# --- writing --------------------------------------------------------------------------------


def write_mails(
    connection: Connection, outcomes: Sequence[Outcome], *, at: datetime, digest_window_seconds: float
) -> int:
    """Write the mails that the webhooks of these outcomes ask for; return how many new ones there are.

    It waits for others who write mails of the same webhooks, so that they collect in one mail.
    """
    recipients = _recipients(connection, {outcome.webhook_id for outcome in outcomes})
    told = [outcome for outcome in outcomes if recipients.get((outcome.webhook_id, kind_of(outcome)))]
    _take_turns(connection, {outcome.webhook_id for outcome in told})
    made = 0
    for outcome in told:
        for recipient in recipients[outcome.webhook_id, kind_of(outcome)]:
            made += _tell(connection, outcome, recipient, at, timedelta(seconds=digest_window_seconds))
    return made


def write_drift_mails(
    connection: Connection,
    webhook: Webhook,
    recipients: Sequence[str],
    facts: Mapping[str, Any],
    at: datetime,
) -> int:
    """Write a mail to each address that a webhook's mapping does not fit its DAG; return how many."""
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


def _take_turns(connection: Connection, webhook_ids: Iterable[str]) -> None:
    """Wait for other transactions that write mails of these webhooks; SQLite has one writer anyway.

    Not with a lock on the webhook's row, for which the receiver would have to wait.
    """
    if connection.dialect.name == "postgresql":
        for webhook_id in sorted(webhook_ids):
            key = func.hashtextextended(cast(f"inbound_webhook_mail {webhook_id}", Text), 0)
            connection.execute(select(func.pg_advisory_xact_lock(key)))


def _tell(connection: Connection, outcome: Outcome, recipient: str, at: datetime, window: timedelta) -> bool:
    """Write one mail, or add to one that is not on its way yet; True for a new one."""
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
        if last is not None and _is_joined(connection, last.id):
            _list(connection, last.id, outcome)
            return False
        if last is not None and at < last.due_at + window:
            mail = replace(mail, due_at=last.due_at + window, next_attempt_at=last.due_at + window)
    connection.execute(insert(tables.mail), asdict(mail))
    _list(connection, mail.id, outcome)
    return True


def _last_mail(connection: Connection, mail: Mail, *, until: datetime) -> Any:
    """The last mail of the same kind to the same address; not one of a clock that was ahead of ours."""
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


def _is_joined(connection: Connection, mail_id: str) -> bool:
    """Whether nobody has tried to send the mail yet; nobody can from now on until the transaction ends."""
    columns = tables.mail.c
    untouched = (columns.id == mail_id, columns.state == MailState.WAITING, columns.attempts == 0)
    return connection.execute(update(tables.mail).where(*untouched).values(attempts=0)).rowcount == 1


def _list(connection: Connection, mail_id: str, outcome: Outcome) -> None:
    columns = tables.mail_delivery.c
    held = connection.scalar(select(func.max(columns.position)).where(columns.mail_id == mail_id))
    row = {
        "mail_id": mail_id,
        "position": 0 if held is None else held + 1,
        "delivery_id": outcome.delivery_id,
        "outcome": _dump(outcome),
    }
    connection.execute(insert(tables.mail_delivery), row)


# --- sending --------------------------------------------------------------------------------


def is_mail_due(connection: Connection, now: datetime) -> bool:
    """Whether there is a mail to send."""
    due = select(tables.mail.c.id).where(text(tables.WAITING), tables.mail.c.next_attempt_at <= now)
    return connection.scalar(due.limit(1)) is not None


def claim_mail(connection: Connection, now: datetime, *, until: datetime) -> Mail | None:
    """Take the mail that has waited longest for oneself until then, and count the attempt."""
    columns = tables.mail.c
    row = connection.execute(
        select(*(columns[name] for name in Mail.__dataclass_fields__))
        .where(text(tables.WAITING), columns.next_attempt_at <= now)
        .order_by(columns.next_attempt_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    ).first()
    if row is None:
        return None
    mail = Mail(**row._mapping)
    claimed = replace(mail, attempts=mail.attempts + 1, next_attempt_at=until)
    ours = mark_mail(connection, mail, attempts=claimed.attempts, next_attempt_at=until)
    return claimed if ours else None


def listed_outcomes(connection: Connection, mail_id: str, limit: int) -> tuple[int, list[Outcome]]:
    """How many deliveries a mail tells of, and the first of them."""
    columns = tables.mail_delivery.c
    listed = columns.mail_id == mail_id
    total = connection.scalar(select(func.count()).where(listed)) or 0
    rows = connection.scalars(select(columns.outcome).where(listed).order_by(columns.position).limit(limit))
    return total, [_load(stored) for stored in rows]


def mark_mail(connection: Connection, mail: Mail, **values: Any) -> bool:
    """Write what became of an attempt, unless the claim has run out and somebody else has the mail."""
    return connection.execute(update(tables.mail).where(*_as_claimed(mail)).values(values)).rowcount == 1


def _as_claimed(mail: Mail) -> tuple[Any, ...]:
    columns = tables.mail.c
    return columns.id == mail.id, columns.state == MailState.WAITING, columns.attempts == mail.attempts


# --- looking --------------------------------------------------------------------------------


def mails_of_delivery(connection: Connection, delivery_id: str, limit: int = 200) -> list[Mail]:
    """The mails that tell of a delivery, oldest first."""
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
    return json.dumps(values | times)


def _load(stored: str) -> Outcome:
    values = json.loads(stored)
    times = {name: values[name] and datetime.fromisoformat(values[name]) for name in _TIMES}
    tasks = tuple(FailedTask(**task) for task in values["failed_tasks"])
    return Outcome(**values | times | {"failed_tasks": tasks})
