"""Content-Encoding of a request body: identity, gzip and deflate, inflated up to a limit."""

from __future__ import annotations

import zlib

from inbound_webhooks.errors import BodyMalformed, BodyTooLarge, EncodingUnsupported

_GZIP = zlib.MAX_WBITS | 16
_ZLIB = zlib.MAX_WBITS
_RAW_DEFLATE = -zlib.MAX_WBITS

MAX_GZIP_MEMBERS = 100
"""Concatenated members of one gzip body; each costs a fresh decompressor."""


def inflate(body: bytes, encoding: str, *, limit_bytes: int) -> bytes:
    """Return the body without its Content-Encoding (RFC 9110, section 8.4.1).

    :raises EncodingUnsupported: another encoding, or several on top of each other
    :raises BodyTooLarge: it inflates past the limit; no more than that was held in memory
    :raises BodyMalformed: the compressed bytes are broken or cut short
    """
    match encoding.strip().lower():
        case "" | "identity":
            return body
        case "gzip" | "x-gzip":
            return _inflate(body, _GZIP, limit_bytes)
        case "deflate":
            # "deflate" is zlib's format by the RFC; some senders leave its two header bytes out.
            is_zlib = len(body) >= 2 and body[0] & 0x0F == 8 and (body[0] << 8 | body[1]) % 31 == 0
            return _inflate(body, _ZLIB if is_zlib else _RAW_DEFLATE, limit_bytes)
        case _:
            raise EncodingUnsupported


def _inflate(body: bytes, window_bits: int, limit_bytes: int) -> bytes:
    parts: list[bytes] = []
    room = limit_bytes
    rest = body
    while rest or not parts:
        if len(parts) == MAX_GZIP_MEMBERS:
            raise BodyMalformed("The compressed body has too many parts.")
        decompressor = zlib.decompressobj(window_bits)
        try:
            part = decompressor.decompress(rest, room + 1)
        except zlib.error:
            raise BodyMalformed("The body is not compressed as Content-Encoding says.") from None
        if len(part) > room:
            raise BodyTooLarge(limit_bytes, inflated=True)
        if not decompressor.eof:
            raise BodyMalformed("The compressed body is cut short.")
        parts.append(part)
        room -= len(part)
        rest = decompressor.unused_data
    return b"".join(parts)
