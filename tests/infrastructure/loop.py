"""One event loop for all that tests ask a receiver, in a thread of its own, as a server has one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from inbound_webhooks.event.request import InboundRequest
    from inbound_webhooks.event.response import Response
    from inbound_webhooks.receiver.admission import RequestHead
    from inbound_webhooks.receiver.pipeline import Receiver

Result = TypeVar("Result")


_used: dict[int, Receiver] = {}


def in_use(receiver: Receiver) -> Receiver:
    """Note that it may hold connections; :func:`close_receivers` gives them back."""
    _used[id(receiver)] = receiver
    return receiver


def close_receivers() -> None:
    """Give back what the receivers of a test hold."""
    while _used:
        on_the_loop(_used.popitem()[1].close())


def on_the_loop(work: Coroutine[Any, Any, Result]) -> Result:
    """What the coroutine returns."""
    return asyncio.run_coroutine_threadsafe(work, loop()).result()


def answer_of(receiver: Receiver, head: RequestHead, request: InboundRequest) -> Response:
    """A request's whole way through a receiver, without any endpoint."""

    async def pass_through() -> Response:
        return await receiver.receive(await receiver.admit(head), request)

    return on_the_loop(pass_through())


def new_receiver(settings: Any = None, **options: Any) -> Receiver:
    """One on the database of this process's Airflow, with these settings or those of now."""
    from inbound_webhooks.deliveries.store.factory import open_store
    from inbound_webhooks.receiver.pipeline import Receiver
    from inbound_webhooks.settings import Settings

    settings = settings or Settings.load()
    return in_use(Receiver(settings, open_store(settings), **options))


@cache
def loop() -> asyncio.AbstractEventLoop:
    """The loop; of all receivers of this process."""
    made = asyncio.new_event_loop()
    threading.Thread(target=made.run_forever, name="receivers of tests", daemon=True).start()
    return made
