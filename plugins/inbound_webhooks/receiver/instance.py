"""The receiver of this process, shared by guard, blueprint and dispatcher."""

from __future__ import annotations

from functools import cache
from threading import Lock

from inbound_webhooks.deliveries.store.factory import open_store
from inbound_webhooks.receiver.pipeline import Receiver
from inbound_webhooks.settings import Settings

_making = Lock()


def get_receiver() -> Receiver:
    """The receiver; created by the first request or by the server's start."""
    with _making:  # a cache alone would create one for each thread that calls at the same time
        return _make()


def forget_receiver() -> None:
    """Let the next call create a new one, with the settings of that time."""
    _make.cache_clear()


@cache
def _make() -> Receiver:
    settings = Settings.load()
    return Receiver(settings, open_store(settings))
