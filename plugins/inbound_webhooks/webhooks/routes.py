"""Webhooks that get the events of another one: what may be saved, and what must not be deleted."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Connection

from inbound_webhooks.errors import InvalidDefinition, RoutesExist, WebhookChanged
from inbound_webhooks.records.target import ONE_LEVEL, basis_of
from inbound_webhooks.records.webhook import Webhook
from inbound_webhooks.storage.webhooks import find_webhook, routes_of

MAX_ROUTES = 50
"""Webhooks that may get the events of one: each event is judged by all of them."""


def with_source(connection: Connection, webhook: Webhook, *, checked: Webhook | None = None) -> Webhook:
    """The webhook with the id of its source instead of a name; locks the source.

    :param checked: the source for which the actor's permission was checked; None for operators with a shell
    :raises InvalidDefinition: there is no such source, or it passes on no events to this webhook
    :raises WebhookChanged: the source has changed since the permission was checked
    """
    if webhook.source is None:
        return webhook
    source = find_webhook(connection, webhook.source, locked=True)
    if source is None:
        raise InvalidDefinition("source", f"there is no webhook {webhook.source!r}")
    if checked is not None and (source.id, basis_of(source)) != (checked.id, basis_of(checked)):
        raise WebhookChanged
    if source.id == webhook.id:
        raise InvalidDefinition("source", "a webhook cannot get its own events")
    if source.source is not None:
        raise InvalidDefinition("source", f"{source.name}: {ONE_LEVEL}")
    if source.routes is None:
        raise InvalidDefinition(
            "source", f"{source.name} passes on no events; set its field routes to all or first"
        )
    routes = routes_of(connection, source.id)
    if len(routes) >= MAX_ROUTES and webhook.id not in {route.id for route in routes}:
        raise InvalidDefinition("source", f"{source.name} has {MAX_ROUTES} routes, which is the limit")
    return replace(webhook, source=source.id)


def check_routes(connection: Connection, before: Webhook, after: Webhook | None, *, named: bool) -> None:
    """Refuse a change or a deletion that would leave routes without their events.

    :param after: None for a deletion
    :param named: whether the actor may see all routes, as operators with a shell may
    :raises RoutesExist: webhooks get its events
    """
    if before.route_count and (after is None or after.routes is None):
        names = [route.name for route in routes_of(connection, before.id)] if named else ()
        raise RoutesExist(before.name, names)
