"""What a delivery store needs of a database, and the results of a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Protocol, TypeVar

from inbound_webhooks.monitoring.health import DatabaseStatus
from inbound_webhooks.records.credential import Credential
from inbound_webhooks.records.delivery import Delivery
from inbound_webhooks.records.webhook import Webhook

Result = TypeVar("Result")
WebhookAndCredentials = tuple[Webhook, Sequence[Credential]]
VersionedDelivery = tuple[Delivery, int, Sequence[Delivery]]
"""A delivery, the version that its webhook must have, and the children that are stored with it."""


class LeftOut(Enum):
    """Why a batch has no result for a delivery, which the store then inserts outside of any batch."""

    LOCKED = "its webhook is being changed"
    REFUSED = "the statement failed because of some delivery's values"


InsertResult = str | LeftOut | BaseException | None
"""The id under which the event is stored, None if the webhook has changed, or why neither is known."""


class Backend(Protocol):
    """A database that reads webhooks and inserts deliveries in batches."""

    async def find(
        self, webhook_ids: Sequence[str]
    ) -> Sequence[WebhookAndCredentials | BaseException | None]:
        """Each stored webhook, or None if it does not exist."""
        ...

    async def insert(self, deliveries: Sequence[VersionedDelivery]) -> Sequence[InsertResult]:
        """The result of :func:`inbound_webhooks.storage.deliveries.insert_delivery` for each delivery; a
        delivery that would have to wait, or be inserted alone, is left out."""
        ...

    async def insert_alone(self, deliveries: Sequence[VersionedDelivery]) -> Sequence[InsertResult]:
        """The same for deliveries of one webhook, each in a transaction of its own; after a lock that was not
        granted in time the rest is not tried."""
        ...

    async def wait_for_change(self, webhook_id: str) -> None:
        """Wait until no transaction changes a webhook; raises DatabaseUnavailable if that takes too long."""
        ...

    async def status(self) -> DatabaseStatus:
        """What the health report says of the database; raises DatabaseUnavailable."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


def result_or_error(call: Callable[[], Result]) -> Result | BaseException:
    """The result of a call or its exception, so that one item cannot fail the others of its batch."""
    try:
        return call()
    except Exception as error:  # noqa: BLE001 - raised to the caller of that item
        return error
