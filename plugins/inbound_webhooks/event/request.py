"""A request as it arrived, and the data sources that expressions read."""

from __future__ import annotations

from datetime import datetime

import msgspec

from inbound_webhooks.event.cached_attribute import cached_attribute
from inbound_webhooks.event.multidict import MultiDict, title_case


class InboundRequest(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """SingleValue HTTP request.

    ``headers`` are in order of arrival, ``query_string`` is as sent (percent-encoded),
    ``body`` is as sent, still compressed where Content-Encoding says so.
    """

    method: str
    query_string: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    source_ip: str
    received_at: datetime

    @cached_attribute
    def header_values(self) -> MultiDict:
        """The headers by name."""
        return MultiDict(self.headers, ignore_case=True)

    def header(self, name: str) -> str:
        """The first value of a header, "" when it is missing."""
        values = self.header_values.lists.get(title_case(name))
        return values[0] if values else ""

    def combined_header(self, name: str) -> str:
        """Every value of a header with commas between them (RFC 9110, section 5.3)."""
        return ", ".join(self.header_values.lists.get(title_case(name), ())) if self.header(name) else ""


# --- credentials ----------------------------------------------------------------------------
