"""Pages through deliveries of all webhooks, in bounded steps: counting millions would outlast a request."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, case, func, select, true

from inbound_webhooks.records.target import Origin
from inbound_webhooks.storage import tables
from inbound_webhooks.storage.listing import light
from inbound_webhooks.storage.origins import among, owner

MAX_COUNTED = 10_000
"""Deliveries that one query reads."""


@dataclass(frozen=True)
class DeliveryPages:
    """Up to ``size`` deliveries, from the newest on or, if ``ascending``, from the oldest.

    ``cursor`` is the id behind which they begin, "" for the first page.
    """

    webhook_id: str = ""
    state: str = ""
    cursor: str = ""
    ascending: bool = False
    size: int = MAX_COUNTED

    @property
    def _rows(self) -> Any:
        columns = tables.delivery.c
        query = select(columns.id, columns.dag_id, columns.webhook_id, columns.state)
        if self.webhook_id:
            query = query.where(columns.webhook_id == self.webhook_id)
        if self.cursor:
            query = query.where(columns.id > self.cursor if self.ascending else columns.id < self.cursor)
        # Limited before the filters apply, which would otherwise read on until enough rows match.
        return query.order_by(self._order).limit(self.size).subquery()

    @property
    def _order(self) -> Any:
        return tables.delivery.c.id.asc() if self.ascending else tables.delivery.c.id.desc()

    def counts(self, connection: Connection) -> tuple[dict[Origin, int], str | None]:
        """Number of deliveries in ``state`` by origin, and the last id, or None if nothing can follow it."""
        found = self._rows.c
        in_state = found.state == self.state if self.state else true()
        # The last id of the rows that were read; the next page begins behind it.
        end = func.max(found.id) if self.ascending else func.min(found.id)
        number = func.sum(case((in_state, 1), else_=0))
        of_webhook = owner(found.dag_id, found.webhook_id).label("of_webhook")
        rows = connection.execute(
            select(found.dag_id, of_webhook, func.count(), number, end).group_by(found.dag_id, of_webhook)
        ).all()
        ends = [row[4] for row in rows]
        # A page that is not full is the last one.
        is_full = sum(row[2] for row in rows) >= self.size
        last = (max(ends) if self.ascending else min(ends)) if is_full else None
        return {Origin(row[0], row[1]): int(row[3] or 0) for row in rows}, last

    def page(self, connection: Connection, visible: Collection[Origin], offset: int, limit: int) -> list[Any]:
        """The deliveries of these origins, without their large columns."""
        found = self._rows.c
        chosen = select(found.id).where(among(found.dag_id, found.webhook_id, visible))
        if self.state:
            chosen = chosen.where(found.state == self.state)
        query = light().where(tables.delivery.c.id.in_(chosen)).order_by(self._order)
        return list(connection.execute(query.offset(offset).limit(limit)))
