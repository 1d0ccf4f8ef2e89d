"""Inserts deliveries in a transaction each, where a batch has failed because of one of them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from inbound_webhooks.deliveries.store.backend import InsertResult, VersionedDelivery, result_or_error
from inbound_webhooks.errors import DatabaseUnavailable
from inbound_webhooks.records.delivery import Delivery
from inbound_webhooks.storage.database import autocommit, begin_writing, transaction
from inbound_webhooks.storage.database_causes import is_locked
from inbound_webhooks.storage.deliveries import insert_delivery


def insert_one_by_one(deliveries: Sequence[VersionedDelivery]) -> list[InsertResult]:
    """The result of each; a value that the database refuses fails its own delivery. Blocks.

    A lock that was not granted in time fails the rest too: each of them would wait as long for the same one.
    """
    results: list[InsertResult] = []
    for given in deliveries:
        result = result_or_error(partial(_insert, *given))
        results.append(result)
        if isinstance(result, DatabaseUnavailable) and is_locked(result):
            break
    return results + results[-1:] * (len(deliveries) - len(results))


def _insert(delivery: Delivery, version: int, children: Sequence[Delivery]) -> InsertResult:
    if not children:
        return autocommit(lambda connection: insert_delivery(connection, delivery, version))
    with transaction() as connection:
        begin_writing(connection)
        return insert_delivery(connection, delivery, version, children)
