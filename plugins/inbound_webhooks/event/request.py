"""A request as it arrived."""

from __future__ import annotations

from datetime import datetime

import msgspec

from inbound_webhooks.event.cached_attribute import cached_attribute
from inbound_webhooks.event.multidict import MultiDict, title_case


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
        """The first value of a header, "" if it is missing."""
        values = self.header_values.lists.get(title_case(name))
        return values[0] if values else ""

    def combined_header(self, name: str) -> str:
        """All values of a header, joined with commas (RFC 9110, section 5.3)."""
        return ", ".join(self.header_values.lists.get(title_case(name), ())) if self.header(name) else ""
