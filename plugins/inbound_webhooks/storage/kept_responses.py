"""Statements on kept responses; each runs on the caller's connection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from sqlalchemy import Connection, insert, select

from inbound_webhooks.records.delivery import KeptResponse
from inbound_webhooks.storage import tables


def insert_responses(connection: Connection, responses: Sequence[KeptResponse]) -> None:
    """Insert responses of committed deliveries."""
    connection.execute(insert(tables.response), [asdict(response) for response in responses])


def find_response(connection: Connection, delivery_id: str) -> KeptResponse | None:
    """The kept response of a delivery."""
    row = connection.execute(select(tables.response).where(tables.response.c.id == delivery_id)).first()
    return KeptResponse(**row._mapping) if row else None
