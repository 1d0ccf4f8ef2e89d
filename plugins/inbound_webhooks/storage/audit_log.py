"""Entries in Airflow's audit log."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from airflow.models.log import Log
from sqlalchemy import (
    Connection,
    insert,
)


def write_audit_entry(
    connection: Connection,
    *,
    event: str,
    dag_id: str | None,
    actor: str,
    at: datetime,
    details: Mapping[str, Any],
) -> None:
    """Add an entry to Airflow's audit log; ``details`` must not hold secrets."""
    connection.execute(
        insert(Log.__table__),
        {
            "dttm": at,
            "event": event,
            "dag_id": dag_id,
            "owner": actor,
            "owner_display_name": actor,
            "extra": json.dumps(details),
        },
    )
