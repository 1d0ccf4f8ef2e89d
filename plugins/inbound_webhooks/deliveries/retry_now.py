"""Tries deliveries and mails again that wait after a failed attempt, at once."""

from __future__ import annotations

from dataclasses import dataclass

from inbound_webhooks.errors import DeliveryNotFound, NotReplayable
from inbound_webhooks.monitoring.clock import utc_now
from inbound_webhooks.storage.audit_log import write_audit_entry
from inbound_webhooks.storage.database import begin_writing, transaction
from inbound_webhooks.storage.deliveries import find_delivery
from inbound_webhooks.storage.retries import retry_delivery, retry_mails

NOTHING_WAITS = "Neither the delivery nor one of its mails waits for another attempt."


@dataclass(frozen=True, kw_only=True)
class Retried:
    """Whether the delivery is tried again, and how many of its mails are."""

    delivery: bool
    mails: int

    @property
    def sentence(self) -> str:
        """What happens next."""
        parts = ["the delivery"] if self.delivery else []
        if self.mails:
            parts.append("its mail" if self.mails == 1 else f"{self.mails} mails of it")
        return f"Trying {' and '.join(parts)} again now."


def retry_now(delivery_id: str, *, actor: str) -> Retried:
    """Make a delivery and its mails due that wait after a failed attempt.

    :raises DeliveryNotFound: there is no such delivery
    :raises NotReplayable: nothing of it waits for another attempt
    """
    now = utc_now()
    with transaction() as connection:
        begin_writing(connection)
        delivery = find_delivery(connection, delivery_id)
        if delivery is None:
            raise DeliveryNotFound(f"There is no delivery {delivery_id!r}.")
        retried = Retried(
            delivery=retry_delivery(connection, delivery_id, now),
            mails=retry_mails(connection, delivery_id, now),
        )
        if not retried.delivery and not retried.mails:
            raise NotReplayable(NOTHING_WAITS)
        write_audit_entry(
            connection,
            event="webhook.retry",
            dag_id=delivery.dag_id,
            actor=actor,
            at=now,
            details={"webhook": delivery.webhook_name, "delivery": delivery_id, **vars(retried)},
        )
    return retried
