"""The data that expressions read of one request."""

from __future__ import annotations

from inbound_webhooks.event.body import Body
from inbound_webhooks.event.cached_attribute import cached_attribute
from inbound_webhooks.event.expressions.budget import Budget
from inbound_webhooks.event.multidict import MultiDict, parse_query
from inbound_webhooks.event.request import InboundRequest


class DataSources:
    """Everything that an expression can see of one request; put together as far as it is looked at.

    ``content`` is the body after decompression, ``credential_names`` are headers and query fields that the
    sender is proved with, in lower case.
    """

    def __init__(
        self,
        request: InboundRequest,
        content: bytes,
        *,
        delivery_id: str,
        webhook: str,
        credential_names: frozenset[str] = frozenset(),
    ) -> None:
        self._request = request
        self._delivery_id = delivery_id
        self._webhook = webhook
        self.event_type = ""
        """What the sender calls this kind of event, once that is known."""
        self.credential_names = credential_names
        self.body = Body(content, request.header("Content-Type"))
        self.budget = Budget()
        """What is left to compute; all expressions of the request share it."""

    @property
    def headers(self) -> MultiDict:
        """The headers."""
        return self._request.header_values

    @cached_attribute
    def query(self) -> MultiDict:
        """The fields of the query, percent-decoded."""
        return MultiDict(parse_query(self._request.query_string))

    @property
    def delivery(self) -> dict[str, str]:
        """What ``${Webhook::Delivery.…}`` reads."""
        return {
            "id": self._delivery_id,
            "received_at": self._request.received_at.isoformat(),
            "webhook": self._webhook,
            "source_ip": self._request.source_ip,
            "event_type": self.event_type,
        }
