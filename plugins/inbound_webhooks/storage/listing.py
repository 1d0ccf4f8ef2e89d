"""Queries of the pages; ids of deliveries sort by time, so a period of time is a range of ids."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from sqlalchemy import Connection, and_, func, or_, select, text, tuple_

from inbound_webhooks.records.credential import Credential
from inbound_webhooks.records.delivery import Delivery
from inbound_webhooks.records.delivery_states import BEHAVIOUR
from inbound_webhooks.records.hold import Hold
from inbound_webhooks.records.target import Origin
from inbound_webhooks.records.webhook import Webhook
from inbound_webhooks.storage import tables
from inbound_webhooks.storage.deliveries import with_request
from inbound_webhooks.storage.origins import among, webhook_origins
from inbound_webhooks.storage.rejections import KEPT_REJECTIONS
from inbound_webhooks.storage.webhooks import read_webhook

OPEN_STATES = tuple(state for state, row in BEHAVIOUR.items() if not row.is_final)
"""States that will still change."""

SORTS = ("name", "dag", "sender", "state", "last")

_ID_CHARS = 32
_TIME_CHARS = 12  # of a UUID version 7: milliseconds since 1970
_HEAVY = {"body", "headers", "credentials", "conf", "query_string", "routes"}


@dataclass(frozen=True, kw_only=True)
class WebhookQuery:
    """Filters, order and page of a list of webhooks; ``visible`` are the origins that the user may see.

    ``dag_team`` is the column with the team of a webhook's DAG, where Airflow has teams.
    """

    visible: Collection[Origin]
    dag_team: Any = None
    text: str = ""
    dag_id: str = ""
    sender: str = ""
    state: str = ""
    sort: str = "name"
    descending: bool = False
    offset: int = 0
    limit: int = 25


@dataclass(frozen=True)
class RunFacts:
    """State and times of a DAG run."""

    state: str
    started_at: datetime | None
    ended_at: datetime | None

    @property
    def seconds(self) -> float | None:
        """Duration, None until the run has ended."""
        if self.started_at is None or self.ended_at is None:
            return None
        return (self.ended_at - self.started_at).total_seconds()


def first_id_at(moment: datetime) -> str:
    """The smallest id that a delivery received at this moment can have."""
    return f"{int(moment.timestamp() * 1000):0{_TIME_CHARS}x}".ljust(_ID_CHARS, "0")


# --- webhooks -------------------------------------------------------------------------------


def webhook_ids(connection: Connection, visible: Collection[Origin], limit: int) -> list[str]:
    """Ids of the webhooks of some origins, by name."""
    columns = tables.webhook.c
    query = select(columns.id).where(among(columns.dag_id, columns.id, visible))
    return list(connection.scalars(query.order_by(columns.name).limit(limit)))


def known_dag_ids(connection: Connection, text: str, limit: int) -> list[str]:
    """Ids of active DAGs that contain a text, in order."""
    query = select(DagModel.dag_id).where(DagModel.is_stale.is_(False), _holds(DagModel.dag_id, text))
    return list(connection.scalars(query.order_by(DagModel.dag_id).limit(limit)))


def senders(connection: Connection, visible: Collection[Origin]) -> list[str]:
    """Names of the presets in use, sorted."""
    columns = tables.webhook.c
    query = select(columns.preset).where(columns.preset.is_not(None), _among(connection, visible)).distinct()
    return sorted(connection.scalars(query))


def webhooks_page(connection: Connection, wanted: WebhookQuery) -> tuple[list[Webhook], int]:
    """One page of webhooks, and the number of webhooks on all pages."""
    table = tables.webhook
    # An outer join: a webhook may name a DAG that Airflow does not know.
    joined = table.outerjoin(DagModel.__table__, DagModel.dag_id == table.c.dag_id)
    conditions = [*_conditions(wanted), _among(connection, wanted.visible)]
    total = connection.scalar(select(func.count()).select_from(joined).where(*conditions)) or 0
    query = select(table).select_from(joined).where(*conditions).order_by(*_order(wanted))
    rows = connection.execute(query.offset(wanted.offset).limit(wanted.limit))
    return [read_webhook(row) for row in rows], total


def _among(connection: Connection, visible: Collection[Origin]) -> Any:
    """Condition that the user may see a webhook."""
    named = webhook_origins(connection)
    if named <= set(visible):
        # The common case needs no list of ids in the query, which may have thousands. A webhook created right
        # now for another DAG may slip in here: the pages check each row again.
        return tables.webhook.c.id.is_not(None)
    return among(tables.webhook.c.dag_id, tables.webhook.c.id, named & set(visible))


def _conditions(wanted: WebhookQuery) -> list[Any]:
    columns = tables.webhook.c
    found: list[Any] = []
    if wanted.text:
        found.append(
            or_(*(_holds(each, wanted.text) for each in (columns.name, columns.dag_id, columns.asset)))
        )
    if wanted.dag_id:
        found.append(columns.dag_id == wanted.dag_id)
    if wanted.sender:
        found.append(columns.preset.is_(None) if wanted.sender == "none" else columns.preset == wanted.sender)
    if wanted.state == "broken" and wanted.dag_team is not None:
        of_another_team = wanted.dag_team.is_distinct_from(columns.team)
        found.append(
            and_(columns.enabled.is_(True), columns.dag_id != "", or_(_DAG_IS_GONE, of_another_team))
        )
    elif wanted.state in _STATES:
        found.append(_STATES[wanted.state])
    return found


def _holds(column: Any, text: str) -> Any:
    return column.icontains(text, autoescape=True)


_DAG_IS_GONE = or_(
    DagModel.dag_id.is_(None), DagModel.is_stale.is_(True), DagModel.has_import_errors.is_(True)
)
_STATES = {
    "enabled": tables.webhook.c.enabled.is_(True),
    "disabled": tables.webhook.c.enabled.is_(False),
    "held": or_(tables.webhook.c.held_by_all, tables.webhook.c.hold == Hold.HELD),
    "paused": and_(tables.webhook.c.enabled.is_(True), DagModel.is_paused.is_(True)),
    "broken": and_(tables.webhook.c.enabled.is_(True), tables.webhook.c.dag_id != "", _DAG_IS_GONE),
}
STATES = tuple(_STATES)
"""States that a list can be filtered by."""


def _order(wanted: WebhookQuery) -> list[Any]:
    columns = tables.webhook.c
    newest = (
        select(func.max(tables.delivery.c.id))
        .where(tables.delivery.c.webhook_id == columns.id)
        .correlate(tables.webhook)
        .scalar_subquery()
    )
    by = {
        "dag": func.lower(columns.dag_id + func.coalesce(columns.asset, "")),
        "sender": func.coalesce(columns.preset, ""),
        "state": columns.enabled,
        "last": func.coalesce(newest, ""),
    }.get(wanted.sort, func.lower(columns.name))
    return [by.desc() if wanted.descending else by.asc(), columns.name, columns.id]


def credentials_of(connection: Connection, webhook_ids: Collection[str]) -> dict[str, list[Credential]]:
    """The tokens and secrets of some webhooks, including expired ones."""
    found: dict[str, list[Credential]] = {webhook_id: [] for webhook_id in webhook_ids}
    names = Credential.__dataclass_fields__
    for table in (tables.token, tables.secret):
        for row in connection.execute(select(table).where(table.c.webhook_id.in_(sorted(webhook_ids)))):
            values = {name: row._mapping[name] for name in names if name in row._mapping}
            found[row.webhook_id].append(Credential(**{"purpose": "", **values}))
    return found


# --- deliveries -----------------------------------------------------------------------------


def newest(connection: Connection, webhook_ids: Sequence[str]) -> dict[str, Any]:
    """The newest delivery of each webhook that has any: id, state, received_at."""
    columns = tables.delivery.c
    last = (
        select(func.max(columns.id))
        .where(columns.webhook_id == tables.webhook.c.id)
        .correlate(tables.webhook)
        .scalar_subquery()
    )
    ids = list(connection.scalars(select(last).where(tables.webhook.c.id.in_(webhook_ids))))
    rows = connection.execute(
        select(columns.webhook_id, columns.id, columns.state, columns.received_at).where(
            columns.id.in_([found for found in ids if found])
        )
    )
    return {row.webhook_id: row for row in rows}


def deliveries_page(
    connection: Connection,
    webhook_id: str,
    *,
    state: str = "",
    before: str = "",
    after: str = "",
    limit: int = 25,
) -> list[Any]:
    """A webhook's deliveries with ids between ``after`` and ``before``, newest first, no large columns."""
    columns = tables.delivery.c
    query = light().where(columns.webhook_id == webhook_id)
    if state:
        query = query.where(columns.state == state)
    if before:
        query = query.where(columns.id < before)
    if after:
        query = query.where(columns.id > after)
    return list(connection.execute(query.order_by(columns.id.desc()).limit(limit)))


def deliveries_by_id(connection: Connection, webhook_id: str, ids: Sequence[str]) -> list[Any]:
    """Some of a webhook's deliveries, without their large columns."""
    columns = tables.delivery.c
    return list(connection.execute(light().where(columns.webhook_id == webhook_id, columns.id.in_(ids))))


def children_of(connection: Connection, parent_id: str, limit: int) -> tuple[list[Any], int]:
    """The first children of a delivery, without their large columns, and how many there are."""
    columns = tables.delivery.c
    is_child = (text(tables.CHILD), columns.parent_id == parent_id, columns.child_index.is_not(None))
    total = connection.scalar(select(func.count()).select_from(tables.delivery).where(*is_child)) or 0
    query = light().where(*is_child).order_by(columns.child_index).limit(limit)
    return list(connection.execute(query)), total


def replays_of(connection: Connection, delivery_id: str, limit: int = 25) -> list[Any]:
    """The newest replays of a delivery, without their large columns."""
    columns = tables.delivery.c
    query = light().where(columns.replay_of == delivery_id).order_by(columns.id.desc())
    return list(connection.execute(query.limit(limit)))


def light_delivery(connection: Connection, delivery_id: str) -> Any:
    """A delivery without its large columns; None if there is none."""
    return connection.execute(light().where(tables.delivery.c.id == delivery_id)).first()


def routes_text(connection: Connection, delivery_id: str) -> str | None:
    """What each route made of a delivery, as it is stored; None where its webhook has no routes."""
    columns = tables.delivery.c
    return connection.scalar(select(columns.routes).where(columns.id == delivery_id))


def has_conf(connection: Connection, delivery_id: str) -> bool:
    """Whether a delivery has a conf, which is not read."""
    columns = tables.delivery.c
    query = select(columns.conf.is_not(None)).where(columns.id == delivery_id)
    return bool(connection.scalar(query))


def newest_with_body(connection: Connection, webhook_id: str) -> Delivery | None:
    """A webhook's newest delivery with all columns."""
    columns = tables.delivery.c
    row = connection.execute(
        select(tables.delivery).where(columns.webhook_id == webhook_id).order_by(columns.id.desc()).limit(1)
    ).first()
    return with_request(connection, Delivery(**row._mapping)) if row else None


def newest_ids(connection: Connection, webhook_id: str, limit: int) -> list[str]:
    """Ids of a webhook's newest requests, newest first, without replays and the children of requests."""
    columns = tables.delivery.c
    is_request = (columns.replay_of.is_(None), columns.parent_id.is_(None))
    query = select(columns.id).where(columns.webhook_id == webhook_id, *is_request)
    return list(connection.scalars(query.order_by(columns.id.desc()).limit(limit)))


def rejection_rows(connection: Connection, webhook_id: str) -> list[Any]:
    """The latest rejections of a webhook, with their ids, newest first."""
    columns = tables.rejection.c
    query = select(tables.rejection).where(columns.webhook_id == webhook_id).order_by(columns.id.desc())
    return list(connection.execute(query.limit(KEPT_REJECTIONS)))


def light() -> Any:
    """A query of deliveries without their large columns, with the size of the body instead."""
    columns = tables.delivery.c
    size = func.length(columns.body).label("body_bytes")
    return select(*(column for column in columns if column.name not in _HEAVY), size)


def run_facts(connection: Connection, runs: Collection[tuple[str, str]]) -> dict[tuple[str, str], RunFacts]:
    """State and times of some runs, by DAG id and run id."""
    if not runs:
        return {}
    rows = connection.execute(
        select(DagRun.dag_id, DagRun.run_id, DagRun.state, DagRun.start_date, DagRun.end_date).where(
            tuple_(DagRun.dag_id, DagRun.run_id).in_(sorted(runs))
        )
    )
    return {
        (row.dag_id, row.run_id): RunFacts(str(row.state), _utc(row.start_date), _utc(row.end_date))
        for row in rows
    }


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.astimezone(timezone.utc)
