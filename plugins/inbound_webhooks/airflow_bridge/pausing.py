"""Unpauses DAGs as Airflow's own REST API does, its entry in the audit log included."""

from __future__ import annotations

from datetime import datetime

from airflow.models.dag import DagModel
from sqlalchemy import Connection, update

from inbound_webhooks.storage.audit_log import write_audit_entry


def unpause(connection: Connection, dag_id: str, *, actor: str, at: datetime) -> bool:
    """Unpause a DAG; False if Airflow has no such DAG. A DAG that is not paused stays so."""
    table = DagModel.__table__
    done = connection.execute(update(table).where(table.c.dag_id == dag_id).values(is_paused=False))
    if done.rowcount == 0:
        return False
    # The event and its details are those of PATCH /api/v2/dags/{dag_id}, where users look for them.
    details = {"is_paused": False, "method": "PATCH"}
    write_audit_entry(connection, event="patch_dag", dag_id=dag_id, actor=actor, at=at, details=details)
    return True
