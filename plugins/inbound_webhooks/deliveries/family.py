"""The children of a delivery, and what each route made of it, as data."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from itertools import islice
from typing import Any

from sqlalchemy import Connection

from inbound_webhooks.event.judge import Verdict
from inbound_webhooks.records.delivery import State
from inbound_webhooks.records.target import Origin
from inbound_webhooks.storage import listing
from inbound_webhooks.storage.webhooks import webhooks_by_id
from inbound_webhooks.webhooks.access import Access
from inbound_webhooks.webhooks.compiled import CompiledWebhook

MAX_CHILDREN = 100
"""Children that details and previews list."""


def routes_of(text: str | None) -> list[dict[str, Any]]:
    """What each route made of a delivery: webhook_id, webhook, state, reason, and items of a list or None."""
    if text is None:
        return []
    return [
        {
            "webhook_id": webhook_id,
            "webhook": name,
            "state": state,
            "reason": reason,
            "items": _items(items) if items else None,
        }
        for webhook_id, name, state, reason, items in map(_fields, json.loads(text))
    ]


def visible_routes(connection: Connection, access: Access | None, text: str | None) -> list[dict[str, Any]]:
    """The same, of the webhooks that the user may see.

    :param access: None for an operator with a shell, who may see all
    """
    lines = routes_of(text)
    if access is None or not lines:
        return lines
    ids = [line["webhook_id"] for line in lines]
    found: dict[str, Any] = {each: Origin("", each) for each in ids} | webhooks_by_id(connection, ids)
    return [line for line in lines if access.may_see(found[line["webhook_id"]])]


def _fields(line: Any) -> tuple[Any, ...]:
    return tuple(line.get(name) for name in ("webhook_id", "name", "state", "reason", "items"))


def _items(counts: Mapping[str, Any]) -> dict[str, int]:
    return {name: counts.get(name, 0) for name in ("accepted", "filtered", "duplicates", "refused")}


def family_of(connection: Connection, delivery: Any) -> dict[str, Any]:
    """``parent_id``, ``item_index``, and the first ``children`` with their number, as JSON data.

    :param delivery: a delivery, or a row without its large columns
    """
    children: Sequence[Any] = ()
    total = 0
    if delivery.state == State.SPLIT:
        children, total = listing.children_of(connection, delivery.id, MAX_CHILDREN)
    return {
        "parent_id": delivery.parent_id,
        "item_index": delivery.item_index,
        "children": [_child(row) for row in children],
        "children_total": total,
    }


def _child(row: Any) -> dict[str, Any]:
    return {
        "id": row.id,
        "webhook_id": row.webhook_id,
        "webhook": row.webhook_name,
        "dag_id": row.dag_id,
        "state": row.state,
        "item_index": row.item_index,
        "event_type": row.event_type,
        "run_id": row.run_id,
        "error": row.error,
    }


def hidden_routes(compiled: CompiledWebhook, access: Access | None) -> frozenset[str]:
    """The ids of the webhook's routes that the user may not see.

    :param access: None for an operator with a shell, who may see all
    """
    if access is None:
        return frozenset()
    return frozenset(each.webhook.id for each in compiled.routes if not access.may_see(each.webhook))


def judged_family(verdict: Verdict, hidden: Collection[str] = ()) -> dict[str, Any]:
    """The first events of a verdict, what each route makes of the request, and how many events there are.

    :param hidden: ids of routes to leave out, with their events
    """
    routes = verdict.routes
    seen = (each for each in verdict.children if not routes or routes[each.target].webhook_id not in hidden)
    shown = islice(seen, MAX_CHILDREN)
    return {
        "children": [
            {
                "item_index": child.item_index,
                "route": routes[child.target].name if routes else None,
                "state": child.verdict.outcome,
                "event_type": child.verdict.event_type,
                "conf": None if child.verdict.conf is None else json.loads(child.verdict.conf),
                "error": None if child.verdict.error is None else child.verdict.error.message,
                "dedup_key": child.verdict.deduplication_key,
            }
            for child in shown
        ],
        "children_total": len(verdict.children),
        "routes": [
            {
                "webhook_id": route.webhook_id,
                "webhook": route.name,
                "state": route.state,
                "reason": route.reason,
            }
            for route in routes
            if route.webhook_id not in hidden
        ],
    }
