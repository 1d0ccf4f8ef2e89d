"""Handshakes that sign their response with the secret that signs deliveries: Zoom and X.

A caller who can choose the signed text could have a forged delivery signed. The text therefore has to be a
bare token, without the characters that every signed delivery contains; and the secret has to be the one that
the same vendor signs with, because the deliveries of other senders may be bare tokens.
"""

from __future__ import annotations

import base64
import re
from dataclasses import replace

from inbound_webhooks.errors import HandshakeMalformed
from inbound_webhooks.event.handshakes.exchange import (
    HandshakeRequest,
    HandshakeResponse,
    json_document,
    sign,
)
from inbound_webhooks.event.verification.scheme import DEFAULT_PURPOSE, VerificationScheme
from inbound_webhooks.event.verification.symmetric import Hmac

# No colon, which every text that Zoom signs contains: v0:{timestamp}:{body}.
_ZOOM_TOKEN = re.compile(r"[A-Za-z0-9_\-]{1,128}")
_CRC_TOKEN = re.compile(r"[A-Za-z0-9_\-+/=]{1,128}")
_CRC_TEXT = re.compile(rb"[A-Za-z0-9_\-+/=]{0,128}")


def zoom(request: HandshakeRequest) -> HandshakeResponse | None:
    """Answer ``endpoint.url_validation``, which comes signed, and again every 72 hours
    (https://developers.zoom.us/docs/api/webhooks/#validate-your-webhook-endpoint)."""
    document = request.document()
    if not isinstance(document, dict) or document.get("event") != "endpoint.url_validation":
        return None
    payload = document.get("payload")
    token = payload.get("plainToken") if isinstance(payload, dict) else None
    if not isinstance(token, str) or not _ZOOM_TOKEN.fullmatch(token):
        raise HandshakeMalformed("payload.plainToken is not a token of at most 128 letters, digits and _-")
    signature = sign(request.newest_secret(DEFAULT_PURPOSE), token).hex()
    return json_document({"plainToken": token, "encryptedToken": signature})


def is_crc_text(body: bytes) -> bool:
    """Whether X's check would sign a text: all that X signs of an event, or all of it behind a time."""
    return bool(_CRC_TEXT.fullmatch(body))


def twitter(request: HandshakeRequest) -> HandshakeResponse | None:
    """Answer X's challenge-response check (https://docs.x.com/x-api/webhooks/introduction)."""
    token = request.query_value("crc_token")
    if token is None:
        return None
    if not _CRC_TOKEN.fullmatch(token):
        raise HandshakeMalformed("crc_token is not a token of at most 128 letters, digits and _-+/=")
    signature = base64.b64encode(sign(request.newest_secret(DEFAULT_PURPOSE), token)).decode()
    return replace(json_document({"response_token": f"sha256={signature}"}), used=(DEFAULT_PURPOSE, 0))


def is_twitter_scheme(scheme: VerificationScheme) -> bool:
    """Whether a scheme checks the signatures of X."""
    return _is_hmac(scheme, "x-twitter-webhooks-signature", "base64", "sha256=", "{body}")


def is_zoom_scheme(scheme: VerificationScheme) -> bool:
    """Whether a scheme checks the signatures of Zoom."""
    return _is_hmac(scheme, "x-zm-signature", "hex", "v0=", "v0:{timestamp}:{body}")


def _is_hmac(scheme: VerificationScheme, *written: str) -> bool:
    if not isinstance(scheme, Hmac) or scheme.algorithm != "sha256" or scheme.layout != "plain":
        return False
    return (scheme.header.lower(), scheme.encoding, scheme.prefix, scheme.signed) == written
