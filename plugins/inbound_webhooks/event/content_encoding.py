"""Removes the Content-Encoding of a request body: identity, gzip and deflate, inflated up to a limit."""

from __future__ import annotations

import zlib

from inbound_webhooks.errors import BodyMalformed, BodyTooLarge, EncodingUnsupported

_GZIP = zlib.MAX_WBITS | 16
_ZLIB = zlib.MAX_WBITS
_RAW_DEFLATE = -zlib.MAX_WBITS

MAX_GZIP_MEMBERS = 100
"""Most concatenated members of a gzip body: each costs a new decompressor, whatever its size."""


def inflate(body: bytes, encoding: str, *, limit_bytes: int) -> bytes:
    """Return the body without its Content-Encoding (RFC 9110, section 8.4.1).

    :raises EncodingUnsupported: another encoding, or several of them
    :raises BodyTooLarge: the body inflates beyond the limit, of which no more than the limit was in memory
    :raises BodyMalformed: the compressed data is damaged or truncated
    """
    match encoding.strip().lower():
        case "" | "identity":
            return body
        case "gzip" | "x-gzip":
            return _inflate(body, _GZIP, limit_bytes)
        case "deflate":
            # RFC 9110 defines "deflate" as zlib's format; some senders omit its header of two bytes.
            is_zlib = len(body) >= 2 and body[0] & 0x0F == 8 and (body[0] << 8 | body[1]) % 31 == 0
            return _inflate(body, _ZLIB if is_zlib else _RAW_DEFLATE, limit_bytes)
        case _:
            raise EncodingUnsupported


def _inflate(body: bytes, window_bits: int, limit_bytes: int) -> bytes:
    parts: list[bytes] = []
    remaining_bytes = limit_bytes
    compressed = body
    while compressed or not parts:
        if len(parts) == MAX_GZIP_MEMBERS:
            raise BodyMalformed("The compressed body has too many parts.")
        decompressor = zlib.decompressobj(window_bits)
        try:
            # One byte more than is left shows that the limit is exceeded, without inflating further.
            part = decompressor.decompress(compressed, remaining_bytes + 1)
        except zlib.error:
            raise BodyMalformed("The body is not compressed as Content-Encoding says.") from None
        if len(part) > remaining_bytes:
            raise BodyTooLarge(limit_bytes, inflated=True)
        if not decompressor.eof:
            raise BodyMalformed("The compressed body is truncated.")
        parts.append(part)
        remaining_bytes -= len(part)
        compressed = decompressor.unused_data
    return b"".join(parts)
