"""How far the setup of a webhook with its sender is: its secrets, and the first verified request."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from inbound_webhooks.event.verification.scheme import DEFAULT_PURPOSE
from inbound_webhooks.records.delivery import Rejection
from inbound_webhooks.records.webhook import Webhook
from inbound_webhooks.storage import listing
from inbound_webhooks.storage.credentials import list_credentials
from inbound_webhooks.storage.rejections import list_rejections


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Whether secrets are missing, when a request was last verified, and the newest rejection before that."""

    is_waiting: bool
    verified_at: datetime | None
    rejection: Rejection | None

    @property
    def is_done(self) -> bool:
        """Whether a verified request has arrived."""
        return self.verified_at is not None


def progress_of(connection: Connection, webhook: Webhook) -> Progress | None:
    """The progress of a webhook's setup; None for a webhook that verifies its sender by the URL alone.

    It compiles nothing, because pages ask every few seconds.
    """
    purposes = {str(scheme.get("purpose", DEFAULT_PURPOSE)) for scheme in webhook.verification}
    if not purposes:
        return None
    held = [one for one in list_credentials(connection, webhook.id) if one.purpose in purposes]
    verified_at = max((one.last_used_at for one in held if one.last_used_at), default=None)
    if verified_at is None:
        # A key that was fetched, and a secret that was replaced, have no time of last use.
        newest = listing.newest(connection, [webhook.id]).get(webhook.id)
        verified_at = newest.received_at if newest else None
    rejections = [] if verified_at else list_rejections(connection, webhook.id, 1)
    return Progress(
        is_waiting=not purposes <= {one.purpose for one in held},
        verified_at=verified_at,
        rejection=rejections[0] if rejections else None,
    )
