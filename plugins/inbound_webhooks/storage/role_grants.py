"""Which of Airflow's built-in roles have been granted a permission by the plugin; one row each, for ever."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, insert, select

from inbound_webhooks.storage import tables


def granted_roles(connection: Connection) -> set[str]:
    """Names of the roles with a row."""
    return set(connection.scalars(select(tables.role_grant.c.role_name)))


def remember_grant(connection: Connection, role_name: str, at: datetime) -> None:
    """Add a role's row.

    :raises sqlalchemy.exc.IntegrityError: it has one already
    """
    connection.execute(insert(tables.role_grant), {"role_name": role_name, "granted_at": at})
