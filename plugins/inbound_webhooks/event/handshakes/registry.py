"""The handshakes of vendors, which check with them that a URL belongs to their user."""

from __future__ import annotations

from inbound_webhooks.event.handshakes import echoes, events, signed
from inbound_webhooks.event.handshakes.exchange import Handshake

HANDSHAKES: dict[str, Handshake] = {
    "cloudevents": Handshake(("OPTIONS", "POST"), True, events.cloudevents),
    "discord": Handshake(("POST",), False, events.discord),
    "dropbox": Handshake(("GET",), True, echoes.dropbox),
    "event-grid": Handshake(("POST",), False, echoes.event_grid),
    "graph": Handshake(("POST",), True, echoes.microsoft),
    "meta": Handshake(("GET",), True, echoes.meta),
    "okta": Handshake(("GET",), True, echoes.okta),
    "sharepoint": Handshake(("POST",), True, echoes.microsoft),
    "slack": Handshake(("POST",), False, echoes.slack),
    "sns": Handshake(("POST",), False, events.sns, needs_verification=True),
    "twitter": Handshake(
        ("GET",),
        True,
        signed.twitter,
        is_signing_oracle=signed.is_crc_text,
        signs_for=signed.is_twitter_scheme,
    ),
    "zoom": Handshake(
        ("POST",), False, signed.zoom, needs_verification=True, signs_for=signed.is_zoom_scheme
    ),
}
"""Name in a webhook's definition -> handshake."""
