"""Webhooks, deliveries and runs in the database: made, changed and looked at by tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Any

import uuid_utils

ACTOR = "a tester"
PREFIX = "/pluginsv2/webhook"


@dataclass(frozen=True)
class Hook:
    """A stored webhook with what its URL is made of."""

    id: str
    token: str
    name: str

    @property
    def path(self) -> str:
        return f"{PREFIX}/{self.id}/{self.token}"


def now() -> datetime:
    return datetime.now(timezone.utc)


def store_webhook(
    name: str = "orders of the shop",
    *,
    dag_id: str = "orders",
    preset: str | None = None,
    secrets: dict[str, str] | None = None,
    team: str | None = None,
    **fields: Any,
) -> Hook:
    """Create a webhook as a person would; ``secrets`` is purpose -> secret, ``team`` that of the DAG."""
    from inbound_webhooks.webhooks import service
    from inbound_webhooks.webhooks.secrets import NewSecret

    given = secrets or {}
    draft = service.drafted(preset=preset, purposes=set(given), name=name, dag_id=dag_id, **fields)
    new = [NewSecret(*pair) for pair in given.items()]
    made = service.create(draft, secrets=new, actor=ACTOR, team=team)
    return Hook(made.id, token_of(made.id), name)


def token_of(name_or_id: str) -> str:
    """The newest token of a webhook's URL."""
    from inbound_webhooks.storage.credentials import list_credentials
    from inbound_webhooks.storage.database import transaction
    from inbound_webhooks.storage.encryption import decrypt
    from inbound_webhooks.storage.webhooks import find_webhook

    # Nearly every test asks for it, and the URL takes five times as long: it needs all settings.
    with transaction() as connection:
        held = list_credentials(connection, name_or_id) or list_credentials(
            connection, find_webhook(connection, name_or_id).id
        )
    return decrypt(next(credential.encrypted for credential in held if not credential.purpose))


def change_webhook(webhook_id: str, **fields: Any) -> None:
    """Change fields of a webhook in one committed transaction, as a saved form does."""
    from inbound_webhooks.storage.database import transaction
    from inbound_webhooks.storage.webhooks import update_webhook, webhook_by_id

    with transaction() as connection:
        webhook = webhook_by_id(connection, webhook_id)
        update_webhook(connection, replace(webhook, **fields), now())


def rotate_secret_for_years(webhook_id: str, purpose: str, secret: str, *, grace_hours: float) -> None:
    """Rotate a secret with a longer grace than users may choose, as an endpoint's clock shows any year."""
    from inbound_webhooks.storage import tables
    from inbound_webhooks.storage.database import transaction
    from inbound_webhooks.webhooks import service
    from inbound_webhooks.webhooks.secrets import NewSecret

    service.rotate_secret(webhook_id, NewSecret(purpose, secret), actor=ACTOR, grace_hours=1)
    old = tables.secret.c
    with transaction() as connection:
        connection.execute(
            tables.secret.update()
            .where(old.webhook_id == webhook_id, old.purpose == purpose, old.expires_at.is_not(None))
            .values(expires_at=now() + timedelta(hours=grace_hours))
        )


def store_delivery(hook: Hook, *, dag_id: str = "orders", conf: str = "{}", **columns: Any) -> str:
    """Insert one accepted delivery that is due; returns its id."""
    return store_deliveries(hook, 1, dag_id=dag_id, conf=conf, **columns)[0]


def store_deliveries(
    hook: Hook,
    count: int = 0,
    *,
    ids: Sequence[str] = (),
    dag_id: str = "orders",
    conf: str = "{}",
    **columns: Any,
) -> list[str]:
    """Insert accepted deliveries that are due, with new ids or with ``ids``; returns the ids in order."""
    from inbound_webhooks.storage import tables
    from inbound_webhooks.storage.database import transaction

    base = {
        "webhook_id": hook.id,
        "webhook_name": hook.name,
        "dag_id": dag_id,
        "state": "accepted",
        "received_at": now(),
        "source_ip": "127.0.0.1",
        "query_string": "",
        "headers": "[]",
        "credentials": None,
        "body": b"",
        "conf": conf,
        "response_status": 202,
        "attempts": 0,
        "next_attempt_at": now(),
    }
    rows = [base | {"id": each} | columns for each in ids or (uuid_utils.uuid7().hex for _ in range(count))]
    with transaction() as connection:
        connection.execute(tables.delivery.insert(), rows)
    return [row["id"] for row in rows]


def store_rejection(hook: Hook, *, reason: str = "The signature is wrong.") -> int:
    """Insert one rejection; returns its id."""
    from inbound_webhooks.records.delivery import Rejection
    from inbound_webhooks.storage.database import transaction
    from inbound_webhooks.storage.rejections import insert_rejections

    rejection = Rejection(
        webhook_id=hook.id, rejected_at=now(), source_ip="127.0.0.1", method="POST", status=401, reason=reason
    )
    with transaction() as connection:
        insert_rejections(connection, [rejection])
    return max(row.id for row in rows("rejection"))


def made_delivery(hook: Hook, number: int, **fields: Any) -> Any:
    """A delivery of this number as its id, not stored."""
    from inbound_webhooks.records.delivery import Delivery

    base: dict[str, Any] = {
        "webhook_name": hook.name,
        "dag_id": "orders",
        "state": "accepted",
        "received_at": now(),
        "source_ip": "",
        "query_string": "",
        "headers": "[]",
        "credentials": None,
        "body": b"",
        "conf": None,
        "response_status": 202,
    }
    return Delivery(id=f"{number:032}", webhook_id=hook.id, **base | fields)


def rows(table_name: str) -> list[Any]:
    """All rows of one of our tables, in the order of their ids: rows("delivery")."""
    from airflow import settings

    from inbound_webhooks.storage import tables

    table = getattr(tables, table_name)
    with settings.engine.connect() as connection:
        return list(connection.execute(table.select().order_by(table.c.id)))


def delivery(delivery_id: str) -> Any:
    return next(row for row in rows("delivery") if row.id == delivery_id)


def change_delivery(delivery_id: str, **columns: Any) -> None:
    """Write columns of a delivery, such as its state."""
    from inbound_webhooks.storage import tables

    table = tables.delivery
    _execute(table.update().where(table.c.id == delivery_id).values(columns))


def states() -> list[str]:
    """The states of all deliveries, sorted."""
    return sorted(row.state for row in rows("delivery"))


def runs() -> list[Any]:
    """All DAG runs, as rows of Airflow's table."""
    from airflow import settings
    from airflow.models.dagrun import DagRun

    with settings.engine.connect() as connection:
        return list(connection.execute(DagRun.__table__.select().order_by(DagRun.run_id)))


def audit_rows() -> list[Any]:
    """What the audit log has of webhooks, oldest first."""
    from airflow import settings
    from airflow.models.log import Log

    table = Log.__table__
    query = table.select().where(table.c.event.like("webhook.%")).order_by(table.c.id)
    with settings.engine.connect() as connection:
        return list(connection.execute(query))


def change_run(run_id: str, **columns: Any) -> None:
    """Write columns of a DAG run: state, start_date, end_date."""
    from airflow.models.dagrun import DagRun

    table = DagRun.__table__
    _execute(table.update().where(table.c.run_id == run_id).values(columns))


def delete_run(run_id: str) -> None:
    """Take a DAG run away, as a person or Airflow's clean-up does."""
    from airflow import settings
    from airflow.models.dagrun import DagRun
    from sqlalchemy import select

    with settings.NonScopedSession() as session, session.begin():
        session.delete(session.scalar(select(DagRun).where(DagRun.run_id == run_id)))


def change_tasks(run_id: str, **columns: Any) -> None:
    """Write columns of all task instances of a run: state, try_number, end_date."""
    from airflow.models.taskinstance import TaskInstance

    table = TaskInstance.__table__
    _execute(table.update().where(table.c.run_id == run_id).values(columns))


def listed(mail_id: str) -> list[str]:
    """The ids of the deliveries that a mail is about, in its order."""
    from airflow import settings

    from inbound_webhooks.storage import tables

    table = tables.mail_delivery
    query = table.select().where(table.c.mail_id == mail_id).order_by(table.c.position)
    with settings.engine.connect() as connection:
        return [row.delivery_id for row in connection.execute(query)]


def _execute(statement: Any) -> None:
    from airflow import settings

    with settings.engine.begin() as connection:
        connection.execute(statement)
