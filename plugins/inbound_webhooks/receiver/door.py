"""The one receiver of a process, shared by guard, blueprint and dispatcher."""

from __future__ import annotations

from functools import cache

from inbound_webhooks.receiver.receive import Receiver
from inbound_webhooks.settings import Settings


@cache
def door() -> Receiver:
    """Make the receiver when the first request, or the server's start, asks for it."""
    return Receiver(Settings.load())
