"""Shared parameters of the routes: the user's access, paging and order, as in Airflow's REST API."""

from __future__ import annotations

from typing import Annotated

from airflow.configuration import conf
from fastapi import Depends, HTTPException, Query

from inbound_webhooks.airflow_bridge.request_user import RequestUser
from inbound_webhooks.errors import NotPermitted, WebhookNotFound
from inbound_webhooks.records.target import subject_of
from inbound_webhooks.records.webhook import Webhook
from inbound_webhooks.storage.database import transaction
from inbound_webhooks.storage.webhooks import webhook_by_id
from inbound_webhooks.webhooks.access import Access, Method

MAX_LIMIT = conf.getint("api", "maximum_page_limit")
DEFAULT_LIMIT = min(conf.getint("api", "fallback_page_limit"), MAX_LIMIT)
MAX_OFFSET = 2**31 - 1


def access(user: RequestUser) -> Access:
    """The user's access; 401 without a login, 403 without permission to see webhooks."""
    found = Access(user)
    if not found.may_view("GET"):
        raise HTTPException(403, "Forbidden")
    return found


AccessDep = Annotated[Access, Depends(access)]
Text = Annotated[str, Query(max_length=250, pattern=r"^[^\x00]*$")]
"""A text that PostgreSQL can compare."""

Offset = Annotated[int, Query(ge=0, le=MAX_OFFSET)]
Limit = Annotated[int, Query(ge=0, description=f"At most {MAX_LIMIT}; larger values are reduced to it.")]


def visible(may: Access, webhook_id: str) -> Webhook:
    """A webhook that the user may see, by id.

    :raises WebhookNotFound: it does not exist, or the user may not see it; the message is the same
    """
    webhook = None
    if webhook_id.isascii() and webhook_id.isprintable():  # PostgreSQL rejects NUL
        with transaction() as connection:
            webhook = webhook_by_id(connection, webhook_id)
    if webhook is None or not may.may_see(webhook):
        raise WebhookNotFound("The webhook does not exist, or you may not see it.")
    return webhook


def changeable(may: Access, webhook_id: str, method: Method = "PUT") -> Webhook:
    """A webhook that the user may change, or delete if ``method`` is DELETE.

    :raises NotPermitted: the user may see it, but not change it
    """
    webhook = visible(may, webhook_id)
    if not may.may_change(webhook, method):
        raise NotPermitted(f"Changing it requires permission {subject_of(webhook).right()}.")
    return webhook


def descending(order_by: str, allowed: dict[str, str]) -> tuple[str, bool]:
    """``-name`` -> the value that ``allowed`` has for the name, and whether the order is descending."""
    name = order_by.removeprefix("-")
    if name not in allowed:
        raise HTTPException(400, f"Ordering with '{name}' is disallowed or the attribute does not exist")
    return allowed[name], order_by.startswith("-")
