"""Finds deliveries of all webhooks that a user may see, deleted webhooks included."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from threading import Lock
from typing import Any, NamedTuple

from inbound_webhooks.deliveries.stored_request import content_of
from inbound_webhooks.errors import RequestError, SearchTooLong
from inbound_webhooks.records.delivery_filter import DeliveryFilter
from inbound_webhooks.records.target import EVERY_DAG, Origin
from inbound_webhooks.storage import delivery_search as statements
from inbound_webhooks.storage.database import transaction
from inbound_webhooks.storage.deliveries import find_delivery
from inbound_webhooks.storage.delivery_search import SearchedDeliveries
from inbound_webhooks.storage.origins import webhook_origins
from inbound_webhooks.storage.time_limit import limited_transaction
from inbound_webhooks.storage.webhooks import find_webhook
from inbound_webhooks.urls import WEBHOOK_ID_CHARS
from inbound_webhooks.webhooks.access import Access

SEARCH_SECONDS = 1.0
"""Longest time of a search's query; the pages' own take milliseconds."""

TEXT_SECONDS = 0.25
"""How long a search looks into bodies before it says how far it came."""

DAGS_REST = 200
MOST_DAGS_SECONDS = 60.0
"""The DAGs of past deliveries are remembered for so many times the duration of reading them, and at most."""

FIRST_BODIES, MOST_BODIES = 8, 1_000
"""Bodies of the first query of a search for a text, and at most."""

MAX_INFLATED_BYTES = 2 * 1024 * 1024
"""Compressed bodies whose content is larger are not looked into."""


class FoundDelivery(NamedTuple):
    """What tells whose a delivery is."""

    id: str
    dag_id: str
    webhook_id: str


@dataclass(frozen=True)
class Found:
    """A page of a search, newest first.

    ``cursor`` is the id behind which the next page begins, None if there is none. ``searched_to`` is how far
    a search for a text came when its time was over, None if it was complete.
    """

    rows: list[Any]
    cursor: str | None
    searched_to: datetime | None = None


def find(
    wanted: DeliveryFilter,
    access: Access | None,
    *,
    before: str = "",
    limit: int,
    seconds: float = TEXT_SECONDS,
) -> Found:
    """A page of deliveries that match and that the user may see.

    :param access: None for an operator with a shell, who may see everything
    :param seconds: for a search for a text
    :raises SearchTooLong: the conditions need too long a query
    """
    searched = replace(_searched(wanted, access), before=before)
    if wanted.text:
        return _find_text(wanted.text, searched, access, limit=limit, seconds=seconds)
    with limited_transaction(SEARCH_SECONDS) as connection:
        ids = [row.id for row in connection.execute(statements.newest_ids(searched, limit + 1))]
        rows = statements.rows_of(connection, ids[:limit])
    return Found(_visible(rows, access), ids[limit - 1] if len(ids) > limit else None)


def count(wanted: DeliveryFilter, access: Access | None) -> int | None:
    """The number of matching deliveries, up to MAX_COUNTED + 1; None for a text, or if it takes too long."""
    if wanted.text:
        return None
    searched = _searched(wanted, access)
    try:
        with limited_transaction(SEARCH_SECONDS) as connection:
            return statements.count(connection, searched)
    except SearchTooLong:
        return None


def find_all(
    wanted: DeliveryFilter, access: Access | None, *, limit: int, seconds: float
) -> list[FoundDelivery]:
    """(id, dag_id, webhook_id) of all deliveries that match, newest first; ``limit`` + 1 for more.

    :raises SearchTooLong: the time is over before all were found
    """
    if not wanted.text:
        searched = _searched(wanted, access)
        with limited_transaction(seconds) as connection:
            rows = connection.execute(statements.newest_ids(searched, limit + 1))
            return [FoundDelivery(row.id, row.dag_id, row.webhook_id) for row in rows]
    ends_at = time.monotonic() + seconds
    found: list[FoundDelivery] = []
    cursor: str | None = ""
    while cursor is not None and len(found) <= limit:
        if time.monotonic() > ends_at:
            raise SearchTooLong
        page = find(wanted, access, before=cursor, limit=MOST_BODIES)
        found += [FoundDelivery(row.id, row.dag_id, row.webhook_id) for row in page.rows]
        cursor = page.cursor
    return found[: limit + 1]


def _find_text(
    text: str, searched: SearchedDeliveries, access: Access | None, *, limit: int, seconds: float
) -> Found:
    """Look into the bodies, newest first, in growing steps while time is left."""
    needle = text.encode("utf-8", "surrogatepass")
    ends_at = time.monotonic() + seconds
    found: list[str] = []
    cursor, step = searched.before, FIRST_BODIES
    while len(found) < limit:
        left = ends_at - time.monotonic()
        try:
            if left <= 0:
                raise SearchTooLong
            ids, matching = _step(needle, replace(searched, before=cursor), access, step, left)
        except SearchTooLong:
            if cursor == searched.before:
                raise  # Not one step: to go on from here would end here again.
            return Found(_load(found, access), cursor, _time_of(cursor))
        found += matching
        if len(ids) < step:
            return Found(_load(found, access), None)
        cursor, step = ids[-1], min(step * 2, MOST_BODIES)
    # The last step may have found more than there is room for: the next page begins behind the last row.
    return Found(_load(found[:limit], access), found[limit - 1] if len(found) > limit else cursor)


def _step(
    needle: bytes, searched: SearchedDeliveries, access: Access | None, size: int, seconds: float
) -> tuple[list[str], list[str]]:
    """The ids of the next deliveries, and those whose body has the text and may be read."""
    ends_at = time.monotonic() + seconds
    with limited_transaction(seconds) as connection:
        rows = connection.execute(statements.newest_ids(searched, size)).all()
    # Checked without a transaction: auth managers read with sessions of their own.
    readable = [row.id for row in rows if access is None or access.may_read_runs(row)]
    with limited_transaction(seconds) as connection:
        matches = statements.look_into_bodies(connection, readable, needle)
    matching = {match.id for match in matches if match.has_text}
    for match in matches:
        if match.is_encoded and not match.has_text:
            if time.monotonic() > ends_at:
                raise SearchTooLong
            matching |= {match.id} if _content_has(match.id, needle) else set()
    return [row.id for row in rows], [found for found in readable if found in matching]


def _content_has(delivery_id: str, needle: bytes) -> bool:
    with transaction() as connection:
        delivery = find_delivery(connection, delivery_id)
    if delivery is None:
        return False
    try:
        return needle in content_of(delivery, MAX_INFLATED_BYTES)
    except RequestError:
        return False


def _load(ids: list[str], access: Access | None) -> list[Any]:
    with transaction() as connection:
        return _visible(statements.rows_of(connection, ids), access)


def _visible(rows: list[Any], access: Access | None) -> list[Any]:
    # The DAGs of the query may be those of a minute ago.
    return [row for row in rows if access is None or access.may_see(row)]


def _time_of(delivery_id: str) -> datetime:
    """When a delivery was received, as its id says."""
    return datetime.fromtimestamp(int(delivery_id[:12], 16) / 1000, timezone.utc)


def _searched(wanted: DeliveryFilter, access: Access | None) -> SearchedDeliveries:
    visible = None if access is None else _visible_origins(access)
    if wanted.dag_id:
        visible = {Origin(wanted.dag_id)} if access is None or access.may_see(wanted.dag_id) else set()
    webhook_id, webhook_name = _webhook(wanted.webhook)
    return SearchedDeliveries(
        webhook_id=webhook_id,
        webhook_name=webhook_name,
        origins=visible,
        states=wanted.states,
        event_type=wanted.event_type,
        since=wanted.since,
        until=wanted.until,
        id_prefix=wanted.id,
    )


def _webhook(name_or_id: str) -> tuple[str, str]:
    """(id, "") of a webhook; what is neither an id nor a current name is the name of a deleted one."""
    if not name_or_id:
        return "", ""
    with transaction() as connection:
        webhook = find_webhook(connection, name_or_id)
    if webhook is not None:
        return webhook.id, ""
    is_id = len(name_or_id) == WEBHOOK_ID_CHARS and _has_deliveries(name_or_id)
    return (name_or_id, "") if is_id else ("", name_or_id)


def _has_deliveries(webhook_id: str) -> bool:
    with transaction() as connection:
        wanted = statements.newest_ids(SearchedDeliveries(webhook_id=webhook_id), 1)
        return connection.execute(wanted).first() is not None


def _visible_origins(access: Access) -> Collection[Origin] | None:
    """The origins whose deliveries the user may see; None for all, so that the query needs no list."""
    named = named_origins()
    visible = access.visible(named)
    # Deliveries of a deleted webhook without a DAG have no origin among them.
    return None if named <= visible and access.may_see(EVERY_DAG) else visible


def named_origins() -> set[Origin]:
    """The origins of all webhooks, and the DAGs of all deliveries that have ended."""
    with transaction() as connection:
        return webhook_origins(connection) | {Origin(dag_id) for dag_id in _PAST_DAGS.get(connection)}


class _PastDags:
    """The DAGs of deliveries that have ended, remembered for a while."""

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._stale_at = float("-inf")
        self._lock = Lock()

    def get(self, connection: Any) -> set[str]:
        with self._lock:
            started = time.monotonic()
            if started >= self._stale_at:
                self._known = statements.ended_dag_ids(connection)
                seconds = time.monotonic() - started
                self._stale_at = started + min(seconds * DAGS_REST, MOST_DAGS_SECONDS)
            return self._known


_PAST_DAGS = _PastDags()
