"""Bodies are inflated up to a limit, or refused."""

from __future__ import annotations

import gzip
import zlib

import pytest

from inbound_webhooks.errors import BodyMalformed, BodyTooLarge, EncodingUnsupported
from inbound_webhooks.event.content_encoding import MAX_GZIP_MEMBERS, inflate

TEXT = b'{"order_id": "xxx-1234"}' * 20
LIMIT = 2 * 1024 * 1024


def raw_deflate(content: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(content) + compressor.flush()


GZIP, ZLIB, RAW = gzip.compress(TEXT), zlib.compress(TEXT), raw_deflate(TEXT)


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        pytest.param("", TEXT, id="none"),
        pytest.param("identity", TEXT, id="identity"),
        pytest.param("gzip", GZIP, id="gzip"),
        pytest.param(" GZip ", GZIP, id="gzip in another spelling"),
        pytest.param("x-gzip", GZIP, id="x-gzip"),
        pytest.param("deflate", ZLIB, id="deflate with zlib's header"),
        pytest.param("deflate", zlib.compress(TEXT, 0), id="deflate, only stored"),
        pytest.param("deflate", zlib.compress(TEXT, 9), id="deflate, best"),
        pytest.param("Deflate", RAW, id="deflate without a header"),
        pytest.param("gzip", gzip.compress(TEXT[:100]) + gzip.compress(TEXT[100:]), id="two members"),
        pytest.param("gzip", gzip.compress(b"") + GZIP + gzip.compress(b""), id="empty members"),
    ],
)
def test_a_body_is_inflated(encoding, body):
    assert inflate(body, encoding, limit_bytes=LIMIT) == TEXT


@pytest.mark.parametrize(
    "body", [gzip.compress(b""), zlib.compress(b""), raw_deflate(b"")], ids=["gzip", "zlib", "deflate"]
)
def test_an_empty_body_inflates_to_nothing(body):
    encoding = "gzip" if body.startswith(b"\x1f\x8b") else "deflate"
    assert inflate(body, encoding, limit_bytes=LIMIT) == b""


@pytest.mark.parametrize(
    "encoding", ["br", "zstd", "compress", "gzip, gzip", "gzip,deflate", "utf-8", "\0", "*"]
)
def test_other_encodings_are_unsupported(encoding):
    with pytest.raises(EncodingUnsupported):
        inflate(GZIP, encoding, limit_bytes=LIMIT)


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        pytest.param("gzip", GZIP[:-1], id="gzip without its last byte"),
        pytest.param("gzip", GZIP[:-8], id="gzip without its trailer"),
        pytest.param("gzip", GZIP[:12], id="gzip cut in the middle"),
        pytest.param("gzip", GZIP[:5], id="gzip cut in its header"),
        pytest.param("gzip", b"", id="gzip of nothing at all"),
        pytest.param("deflate", b"", id="deflate of nothing at all"),
        pytest.param("deflate", ZLIB[:-1], id="zlib cut short"),
        pytest.param("deflate", RAW[:-1], id="raw cut short"),
        pytest.param("gzip", GZIP + b"garbage", id="gzip and garbage"),
        pytest.param("gzip", GZIP + b"\x1f\x8b", id="gzip and half a header"),
        pytest.param("deflate", ZLIB + b"garbage", id="zlib and garbage"),
        pytest.param("gzip", TEXT, id="not gzip"),
        pytest.param("gzip", ZLIB, id="zlib as gzip"),
        pytest.param("deflate", GZIP, id="gzip as deflate"),
        pytest.param("deflate", b"\xff\xff\xff", id="not deflate"),
        pytest.param("gzip", GZIP[:-6] + b"\0\0" + GZIP[-4:], id="wrong checksum"),
        pytest.param("gzip", GZIP[:-2] + b"\1\1", id="wrong length"),
        pytest.param("deflate", ZLIB[:-2] + b"\0\0", id="wrong Adler checksum"),
        pytest.param("deflate", b"\x78\xbb" + b"\0" * 8, id="needs a dictionary"),
        pytest.param("gzip", gzip.compress(b"") * (MAX_GZIP_MEMBERS + 1), id="too many members"),
    ],
)
def test_a_body_that_is_not_what_its_encoding_says_is_malformed(encoding, body):
    with pytest.raises(BodyMalformed):
        inflate(body, encoding, limit_bytes=LIMIT)


@pytest.mark.parametrize("compress", [gzip.compress, zlib.compress, raw_deflate])
def test_the_limit_counts_inflated_bytes_to_the_byte(compress):
    encoding = "gzip" if compress is gzip.compress else "deflate"
    assert inflate(compress(b"a" * 1000), encoding, limit_bytes=1000) == b"a" * 1000
    with pytest.raises(BodyTooLarge) as caught:
        inflate(compress(b"a" * 1001), encoding, limit_bytes=1000)
    assert caught.value.limit_bytes == 1000


def test_the_limit_counts_all_members_together():
    with pytest.raises(BodyTooLarge):
        inflate(gzip.compress(b"a" * 600) * 2, "gzip", limit_bytes=1000)


@pytest.mark.parametrize("compress", [gzip.compress, zlib.compress, raw_deflate])
def test_a_bomb_is_too_large(compress):
    bomb = compress(bytes(64 * 1024 * 1024))
    assert len(bomb) < 100_000
    with pytest.raises(BodyTooLarge, match=f"decompressed body is larger than {LIMIT} bytes"):
        inflate(bomb, "gzip" if compress is gzip.compress else "deflate", limit_bytes=LIMIT)


def test_a_bomb_is_stopped_before_what_follows_it_is_read():
    bomb = gzip.compress(bytes(10_000))[:-8] + b"not a trailer"
    with pytest.raises(BodyTooLarge):
        inflate(bomb, "gzip", limit_bytes=1000)
