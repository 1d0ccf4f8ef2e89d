"""A request that the guard has admitted, on its way through Flask to the blueprint."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from dataclasses import dataclass

from inbound_webhooks.errors import InternalError
from inbound_webhooks.monitoring.log_lines import get_logger
from inbound_webhooks.receiver.admission import Admission
from inbound_webhooks.receiver.calls import CallAdmission
from inbound_webhooks.receiver.pipeline import Receiver
from inbound_webhooks.receiver.results import Pending

log = get_logger(__name__)


@dataclass
class Admitted:
    """A request that was admitted, and the receiver that did, on the event loop that it belongs to.

    ``has_arrived`` tells that it has reached the blueprint, so that the response is the receiver's. Where
    ``pending`` is set, Flask's own response is dropped: the guard sends another one after the wait, during
    which no thread of Flask's is held.
    """

    receiver: Receiver
    admission: Admission | CallAdmission
    loop: asyncio.AbstractEventLoop
    has_arrived: bool = False
    pending: Pending | None = None


ADMITTED: ContextVar[Admitted | None] = ContextVar("inbound_webhooks_admitted", default=None)
"""Read by the blueprint, which sees a path without the token."""


def not_routed() -> InternalError:
    """The error where Flask responds with a page of its own, to a host or scheme that it does not accept.

    Nothing is admitted any more: the response to the error is no page of Flask's.
    """
    ADMITTED.set(None)
    log.error(
        "the request did not reach the endpoint action=endpoint_error kind=NotRouted: check TRUSTED_HOSTS in "
        "webserver_config.py, and what the proxy sends in Host and X-Forwarded-Proto, or in X-Forwarded-Host "
        "with [fab] enable_proxy_fix"
    )
    return InternalError()
