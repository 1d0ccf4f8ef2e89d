"""Conditions on what a user may see, for rows with a DAG and rows whose webhook has none."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, and_, case, or_, select

from inbound_webhooks.records.target import Origin
from inbound_webhooks.records.webhook import Webhook
from inbound_webhooks.storage import tables
from inbound_webhooks.storage.webhooks import read_webhook

_WEBHOOK = tables.webhook.c


def webhook_origins(connection: Connection) -> set[Origin]:
    """The origins of all webhooks."""
    rows = connection.execute(select(_WEBHOOK.dag_id, owner(_WEBHOOK.dag_id, _WEBHOOK.id)).distinct())
    return {Origin(*row) for row in rows}


def webhooks_without_dag(connection: Connection) -> dict[str, Webhook]:
    """The webhooks that name no DAG, by id."""
    rows = connection.execute(select(tables.webhook).where(_WEBHOOK.dag_id == ""))
    return {row.id: read_webhook(row) for row in rows}


def owner(dag_id: Any, webhook_id: Any) -> Any:
    """The webhook's id of an origin, as a column."""
    return case((dag_id == "", webhook_id), else_="")


def among(dag_id: Any, webhook_id: Any, origins: Collection[Origin]) -> Any:
    """Condition that a row with these columns has one of some origins."""
    of_dags = dag_id.in_(sorted(each.dag_id for each in origins if each.dag_id))
    ids = sorted(each.webhook_id for each in origins if not each.dag_id)
    return or_(of_dags, and_(dag_id == "", webhook_id.in_(ids))) if ids else of_dags
