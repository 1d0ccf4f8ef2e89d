"""Logical dates of runs, of which Airflow allows one run for each DAG."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pendulum
from airflow.models.dagrun import DagRun
from sqlalchemy import select
from sqlalchemy.orm import Session

from inbound_webhooks.errors import LogicalDateTaken
from inbound_webhooks.storage.claims import ClaimedDelivery

STEP = timedelta(microseconds=1)
MOST_MOVED = timedelta(milliseconds=10)
"""How far a time of receipt is moved where other runs of the DAG have it: no template shows that."""


def free_logical_date(session: Session, delivery: ClaimedDelivery) -> datetime | None:
    """The logical date of a delivery's run; None where it has none.

    A time of receipt is moved by microseconds until it is free: of a replay, the original's run has it.

    :raises LogicalDateTaken: another run of the DAG has it
    """
    wanted = delivery.logical_date
    if wanted is None:
        return None
    last = wanted + MOST_MOVED if delivery.moves_logical_date else wanted
    where = (DagRun.dag_id == delivery.dag_id, DagRun.logical_date >= wanted, DagRun.logical_date <= last)
    taken = set(session.scalars(select(DagRun.logical_date).where(*where)))
    while wanted in taken:
        wanted += STEP
        if wanted > last:
            raise LogicalDateTaken(delivery.dag_id, (delivery.logical_date or wanted).isoformat())
    return wanted


def data_interval_of(dag: Any, logical_date: datetime | None) -> Any:
    """The data interval of a manual run with a logical date, as Airflow's own API infers it."""
    if logical_date is None:
        return None
    return dag.timetable.infer_manual_data_interval(run_after=pendulum.instance(logical_date))
