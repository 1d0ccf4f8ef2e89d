"""A request as it arrived."""

from __future__ import annotations

from datetime import datetime

import msgspec

from inbound_webhooks.event.cached_attribute import cached_attribute
from inbound_webhooks.event.multidict import MultiDict


class InboundRequest(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """An HTTP request.

    ``headers`` are in order of arrival. ``query_string`` is as sent (percent-encoded), and so is ``body``
    (with its Content-Encoding).
    """

    method: str
    query_string: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    source_ip: str
    received_at: datetime

    @cached_attribute
    # Built once: verification, expressions and handshakes all look headers up by name.
    def header_values(self) -> MultiDict:
        """The headers by name."""
        return MultiDict(self.headers, ignore_case=True)

    def header(self, name: str) -> str:
        """The first value of a header, "" when it is missing."""
        wanted = name.lower()
        for key, value in self.headers:
            if key.lower() == wanted:
                return value
        return ""

    def combined_header(self, name: str) -> str:
        """Every value of a header with commas between them (RFC 9110, section 5.3)."""
        wanted, values = name.lower(), []
        for key, value in self.headers:
            if key.lower() == wanted:
                values.append(value)
        return ", ".join(values) if values and values[0] else ""
