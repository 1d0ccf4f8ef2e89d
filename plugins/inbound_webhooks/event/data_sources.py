"""The data of one request that expressions read."""

from __future__ import annotations

from copy import copy
from typing import Any

from inbound_webhooks.event.body import Body
from inbound_webhooks.event.cached_attribute import cached_attribute
from inbound_webhooks.event.expressions.budget import Budget
from inbound_webhooks.event.multidict import MultiDict, parse_query
from inbound_webhooks.event.request import InboundRequest
from inbound_webhooks.event.values import NOTHING


class DataSources:
    """Everything that expressions can read of one request; computed on first access.

    ``content`` is the body after decompression. ``credential_names`` are the headers and query fields, in
    lower case, that the webhook's verification compares.
    """

    def __init__(
        self,
        request: InboundRequest,
        content: bytes,
        *,
        delivery_id: str,
        webhook: str,
        credential_names: frozenset[str] = frozenset(),
        budget: Budget | None = None,
    ) -> None:
        self._request = request
        self._delivery_id = delivery_id
        self._webhook = webhook
        self.event_type = ""
        """The sender's type of this event, once known."""
        # Masked and left out of a whole event, whatever they are called.
        self.credential_names = credential_names
        self.body = Body(content, request.header("Content-Type"))
        self.result: Any = NOTHING
        """The result of the run, where the response has waited for it."""
        self.item: Any = NOTHING
        """The event, where it is an item of a list."""
        self.run: dict[str, str | None] = {}
        """Values that ``${Webhook::Run.…}`` reads."""
        self.budget = budget or Budget()
        """Computing budget, shared by all expressions of the request."""

    def of_child(self, delivery_id: str, webhook: str, item: Any = NOTHING) -> DataSources:
        """The same request as the event of another delivery; body, query and budget are shared."""
        made = copy(self)
        made._delivery_id, made._webhook, made.item = delivery_id, webhook, item
        return made

    @property
    def headers(self) -> MultiDict:
        """The headers."""
        return self._request.header_values

    @cached_attribute
    def query(self) -> MultiDict:
        """The query's fields, percent-decoded."""
        return MultiDict(parse_query(self._request.query_string))

    @property
    def delivery(self) -> dict[str, str]:
        """Values that ``${Webhook::Delivery.…}`` reads."""
        return {
            "id": self._delivery_id,
            "received_at": self._request.received_at.isoformat(),
            "webhook": self._webhook,
            "source_ip": self._request.source_ip,
            "event_type": self.event_type,
        }
