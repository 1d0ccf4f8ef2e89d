"""Airflow's assets: which one a name or URI means, who is scheduled on it, and creating its events."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from airflow.assets.manager import AssetManager, asset_manager
from airflow.models.asset import (
    AssetActive,
    AssetEvent,
    AssetModel,
    DagScheduleAssetNameReference,
    DagScheduleAssetReference,
    DagScheduleAssetUriReference,
)
from airflow.models.asset import association_table as consumed
from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.utils.state import DagRunState
from sqlalchemy import Connection, and_, case, func, or_, select, union
from sqlalchemy.orm import Session

from inbound_webhooks.errors import AssetUnavailable
from inbound_webhooks.records.delivery import State

Callback = Callable[[], None]
"""Calls a listener of Airflow's for an event, once that is committed."""

_KNOWN = frozenset(inspect.signature(AssetManager.register_asset_change).parameters)
"""Arguments of this version of Airflow: 3.3 added the sender's teams and listeners that are called later."""


@dataclass(frozen=True)
class FoundAsset:
    """An asset as Airflow stores it; ``is_active``: a DAG file names it now."""

    id: int
    name: str
    uri: str
    is_active: bool


@dataclass(frozen=True)
class Subscribers:
    """How many DAGs are scheduled on an asset, and how many of them are paused, and so get no event."""

    total: int = 0
    paused: int = 0


NO_SUBSCRIBERS = Subscribers()


@dataclass(frozen=True)
class ConsumingRun:
    """A DAG run that took an event."""

    dag_id: str
    run_id: str
    state: str
    started_at: datetime | None
    ended_at: datetime | None

    @property
    def outcome(self) -> str:
        """The state in our words."""
        return State.SUCCEEDED if self.state == DagRunState.SUCCESS else self.state


def find_asset(connection: Connection, name_or_uri: str) -> FoundAsset | None:
    """The asset with this name or, if there is none, with this URI; an active one if there is one.

    Airflow's names and URIs are unique among active assets alone.
    """
    same = and_(AssetActive.name == AssetModel.name, AssetActive.uri == AssetModel.uri)
    is_active = AssetActive.name.is_not(None)
    rows = connection.execute(
        select(AssetModel.id, AssetModel.name, AssetModel.uri, is_active)
        .join(AssetActive, same, isouter=True)
        .where(or_(AssetModel.name == name_or_uri, AssetModel.uri == name_or_uri))
        .order_by(is_active.desc(), (AssetModel.name == name_or_uri).desc(), AssetModel.id.desc())
        .limit(1)
    )
    return next((FoundAsset(row[0], row[1], row[2], bool(row[3])) for row in rows), None)


def subscribers_of(connection: Connection, asset: FoundAsset) -> Subscribers:
    """The DAGs that an event of an asset reaches: by the asset itself, its name or its URI."""
    dag_ids = union(
        select(DagScheduleAssetReference.dag_id).where(DagScheduleAssetReference.asset_id == asset.id),
        select(DagScheduleAssetNameReference.dag_id).where(DagScheduleAssetNameReference.name == asset.name),
        select(DagScheduleAssetUriReference.dag_id).where(DagScheduleAssetUriReference.uri == asset.uri),
    ).subquery()
    paused = func.sum(case((DagModel.is_paused.is_(True), 1), else_=0))
    of_dags = DagModel.dag_id.in_(select(dag_ids.c.dag_id)), DagModel.is_stale.is_(False)
    row = connection.execute(select(func.count(), paused).select_from(DagModel).where(*of_dags)).one()
    return Subscribers(row[0], int(row[1] or 0))


def consuming_runs(connection: Connection, event_id: int) -> list[ConsumingRun]:
    """The runs that took an event, in the order of their DAGs; Airflow creates them a moment later."""
    rows = connection.execute(
        select(DagRun.dag_id, DagRun.run_id, DagRun.state, DagRun.start_date, DagRun.end_date)
        .join(consumed, consumed.c.dag_run_id == DagRun.id)
        .where(consumed.c.event_id == event_id)
        .order_by(DagRun.dag_id, DagRun.id)
    )
    return [ConsumingRun(row[0], row[1], str(row[2]), row[3], row[4]) for row in rows]


@dataclass(frozen=True)
class NewEvent:
    """An event to be created; ``team`` is the one in whose name it is."""

    asset: FoundAsset
    extra: Mapping[str, Any]
    partition_key: str | None
    team: str | None


def create_events(session: Session, events: Sequence[NewEvent], callbacks: list[Callback]) -> list[int]:
    """Create events in the caller's transaction, in this order, and queue the DAGs scheduled on the assets.

    As Airflow's own route does it, which also tells whose DAGs an event may reach where there are teams.

    :param callbacks: gets what is to be called after the commit; Airflow 3.2 calls its listeners at once
    :returns: the ids of the events
    :raises AssetUnavailable: an asset has been deleted meanwhile
    """
    # Kept until the last event, or the session would forget them and read each one again.
    models = {event.asset.id: session.get(AssetModel, event.asset.id) for event in events}
    return [_create(session, each, models[each.asset.id], callbacks) for each in events]


def _create(session: Session, new: NewEvent, model: AssetModel | None, callbacks: list[Callback]) -> int:
    since_3_3 = {
        "source_is_api": True,
        "api_user_teams": set() if new.team is None else {new.team},
        "callback_sink": callbacks,
    }
    event: AssetEvent | None = model and asset_manager.register_asset_change(
        asset=model,
        extra=dict(new.extra),
        session=session,
        partition_key=new.partition_key,
        **{name: value for name, value in since_3_3.items() if name in _KNOWN},
    )
    if event is None:
        raise AssetUnavailable(new.asset.name)
    # A manager of one's own need not have flushed it.
    session.flush()
    return int(event.id)
