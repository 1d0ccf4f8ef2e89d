"""A bounded look at deliveries of all webhooks, for nobody can count millions within a request."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, case, func, select, true

from inbound_webhooks.storage import tables
from inbound_webhooks.storage.listing import light

MAX_COUNTED = 10_000
"""Deliveries that are looked at at once."""


@dataclass(frozen=True)
class DeliveryPages:
    """A stretch of ``size`` deliveries, from its newest on or, ``ascending``, from its oldest.

    ``cursor`` is the id behind which it begins, "" for the very first.
    """

    webhook_id: str = ""
    state: str = ""
    cursor: str = ""
    ascending: bool = False
    size: int = MAX_COUNTED

    @property
    def _rows(self) -> Any:
        columns = tables.delivery.c
        query = select(columns.id, columns.dag_id, columns.state)
        if self.webhook_id:
            query = query.where(columns.webhook_id == self.webhook_id)
        if self.cursor:
            query = query.where(columns.id > self.cursor if self.ascending else columns.id < self.cursor)
        return query.order_by(self._order).limit(self.size).subquery()

    @property
    def _order(self) -> Any:
        return tables.delivery.c.id.asc() if self.ascending else tables.delivery.c.id.desc()

    def counts(self, connection: Connection) -> tuple[dict[str, int], str | None]:
        """How many it has of each DAG in its state, and its last id, where something may follow it."""
        found = self._rows.c
        asked = found.state == self.state if self.state else true()
        end = func.max(found.id) if self.ascending else func.min(found.id)
        number = func.sum(case((asked, 1), else_=0))
        rows = connection.execute(
            select(found.dag_id, func.count(), number, end).group_by(found.dag_id)
        ).all()
        ends = [row[3] for row in rows]
        is_full = sum(row[1] for row in rows) >= self.size
        last = (max(ends) if self.ascending else min(ends)) if is_full else None
        return {row.dag_id: int(row[2] or 0) for row in rows}, last

    def page(self, connection: Connection, dag_ids: Collection[str], offset: int, limit: int) -> list[Any]:
        """Its deliveries of some DAGs, without what is big."""
        found = self._rows.c
        chosen = select(found.id).where(found.dag_id.in_(sorted(dag_ids)))
        if self.state:
            chosen = chosen.where(found.state == self.state)
        query = light().where(tables.delivery.c.id.in_(chosen)).order_by(self._order)
        return list(connection.execute(query.offset(offset).limit(limit)))
