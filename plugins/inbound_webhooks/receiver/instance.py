"""The one receiver of a process, shared by guard, blueprint and dispatcher."""

from __future__ import annotations

from functools import cache
from threading import Lock

from inbound_webhooks.deliveries.store.factory import open_store
from inbound_webhooks.receiver.pipeline import Receiver
from inbound_webhooks.settings import Settings

_making = Lock()


def get_receiver() -> Receiver:
    """Make the receiver when the first request, or the server's start, asks for it."""
    with _making:  # a cache alone would make one for each of the threads that ask at the same time
        return _make()


def forget_receiver() -> None:
    """Let the next call make another, with the settings as they are then."""
    _make.cache_clear()


@cache
def _make() -> Receiver:
    return Receiver(Settings.load(), open_store())
