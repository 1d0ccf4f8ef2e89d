"""Where a request begins and ends: lengths, chunks, versions, several on a connection, senders that go."""

from __future__ import annotations

from tests.infrastructure.raw_http import End, chunk
from tests.integration.hostile.case import JSON, Case, Target, head, post

BODY = b'{"a": 1}'
LENGTH = b"Content-Length: %d" % len(BODY)
CHUNKED = b"Transfer-Encoding: chunked"
LAST = chunk(b"")
CHUNKS = chunk(BODY) + LAST
TO_HTTP_2 = (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAAP__")
TLS_HELLO = bytes.fromhex("160301007a010000760303") + b"\0" * 120


def cases(target: Target) -> dict[str, Case]:
    return {
        **lengths(target),
        **chunks(target),
        **versions(target),
        **several(target),
        **slow(target),
    }


def lengths(target: Target) -> dict[str, Case]:
    url = target.path()

    def sent(*lines: bytes, body: bytes = BODY) -> list[bytes]:
        return [head(b"POST", url, JSON, *lines), body]

    refused = {
        "negative": (b"Content-Length: -1",),
        "with a plus": (b"Content-Length: +8",),
        "hexadecimal": (b"Content-Length: 0x8",),
        "a fraction": (b"Content-Length: 8.0",),
        "with an underscore": (b"Content-Length: 0_8",),
        "digits of another script": ("Content-Length: ٨".encode(),),
        "a word": (b"Content-Length: many",),
        "two that differ": (LENGTH, b"Content-Length: 3"),
        "two in one line that differ": (b"Content-Length: 8, 3",),
    }
    made = {f"length: {name}": Case(sent(*lines), 400, by_server=True) for name, lines in refused.items()}
    return made | {
        # None of a name: what follows would be the next request.
        "length: empty": Case(sent(b"Content-Length:"), {400, 0}, by_server=True),
        "length: none": Case(sent(body=b""), 400, kept=b""),
        "length: zeros in front": Case(sent(b"Content-Length: 0000008"), 202, BODY),
        "length: two that are equal": Case(sent(LENGTH, LENGTH), {202, 400}, BODY, by_server=True),
        "length: of 20 digits": Case(
            [*sent(b"Content-Length: 99999999999999999999")], {400, 408, 413}, by_server=True
        ),
        "length: of 17 digits": Case(sent(b"Content-Length: 99999999999999999"), 413),
        "length: over the limit": Case(sent(b"Content-Length: 2097153", body=b""), 413),
        "length: more than comes": Case([*sent(b"Content-Length: 100"), End], {400, 0}),
        "length: more than ever comes": Case(sent(b"Content-Length: 100"), 408),
        "length: less than comes": Case(sent(b"Content-Length: 8", body=BODY + b"more"), 202, BODY),
        "length: and chunks": Case(sent(LENGTH, CHUNKED, body=CHUNKS), {202, 400}, BODY, by_server=True),
        "length: of nothing, and chunks": Case(
            sent(b"Content-Length: 0", CHUNKED, body=CHUNKS), {202, 400}, BODY, by_server=True
        ),
    }


def chunks(target: Target) -> dict[str, Case]:
    url = target.path()

    def sent(body: bytes, *lines: bytes) -> list[bytes]:
        return [head(b"POST", url, JSON, *(lines or [CHUNKED])), body]

    refused = {
        "no number": b"number\r\n",
        "a negative number": b"-8\r\n" + BODY + b"\r\n" + LAST,
        "a number with a prefix": b"0x8\r\n" + BODY + b"\r\n" + LAST,
        "a number past 64 bits": b"FFFFFFFFFFFFFFFFF\r\n" + BODY,
        "a chunk that is longer than it says": b"4\r\n" + BODY + b"\r\n" + LAST,
        "a NUL for a number": b"\0\r\n" + BODY,
    }
    made = {
        f"chunks: {name}": Case([*sent(body), End], {400, 0}, by_server=True)
        for name, body in refused.items()
    }
    encodings = {
        "a coding that is none": b"Transfer-Encoding: xchunked",
        "a space before the colon": b"Transfer-Encoding : chunked",
        "chunked that is not the last": b"Transfer-Encoding: chunked, identity",
        "gzip on the way": b"Transfer-Encoding: gzip, chunked",
        "two lines": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "a vertical tab": b"Transfer-Encoding: \x0bchunked",
        "a quoted one": b'Transfer-Encoding: "chunked"',
        "two times": b"Transfer-Encoding: chunked, chunked",
    }
    made |= {
        # Where a server takes the coding for none, there is no body, and what follows is no request.
        f"coding: {name}": Case(sent(CHUNKS, line), {202, 400, 408, 501}, BODY, by_server=True)
        for name, line in encodings.items()
    }
    many = b"".join(chunk(BODY[i : i + 1]) for i in range(len(BODY)))
    return made | {
        "chunks: of a byte each": Case(sent(many + LAST), 202, BODY),
        "chunks: with an extension of 10,000 bytes": Case(
            sent(b"8;" + b"x" * 10_000 + b"\r\n" + BODY + b"\r\n" + LAST), 202, BODY
        ),
        "chunks: with trailers": Case(sent(chunk(BODY) + b"0\r\nX-A: b\r\n\r\n"), 202, BODY),
        # The api-server's parser may take it for a header, the gateway's does not.
        "chunks: with an encoding behind them": Case(
            sent(chunk(BODY) + b"0\r\nContent-Encoding: br\r\n\r\n"), {202, 415}, BODY
        ),
        "chunks: with a length behind them": Case(
            sent(chunk(BODY) + b"0\r\nContent-Length: 3\r\n\r\n"), {202, 400}, BODY, by_server=True
        ),
        "chunks: without the last": Case([*sent(chunk(BODY)), End], {400, 0}),
        "chunks: over the limit": Case(sent(chunk(b"x" * 1_000_000) * 3), 413),
        "chunks: in capitals": Case(sent(CHUNKS, b"TRANSFER-ENCODING: CHUNKED"), 202, BODY),
        "chunks: and HTTP/1.0": Case(
            [head(b"POST", url, JSON, CHUNKED, version=b"1.0"), CHUNKS], {202, 400, 0}, BODY, by_server=True
        ),
        "chunks: a request behind the end": Case(
            [*sent(CHUNKS + post(target.path(target.events), b"[]"))], 202, BODY
        ),
        # RFC 9112, section 6.1: the coding counts, so the length hides no second request.
        "chunks: a request hidden by a length": Case(
            sent(LAST + post(url, b"[]"), b"Content-Length: 5", CHUNKED), 400, by_server=True
        ),
    }


def versions(target: Target) -> dict[str, Case]:
    url = target.path()
    body = [JSON, LENGTH]
    return {
        "version: 1.0": Case([head(b"POST", url, *body, version=b"1.0"), BODY], 202, BODY),
        "version: 1.0 without a length": Case([head(b"POST", url, JSON, version=b"1.0")], 400, kept=b""),
        "version: 1.0 that stays": Case(
            [head(b"POST", url, *body, b"Connection: keep-alive", version=b"1.0", close=False), BODY],
            202,
            BODY,
        ),
        "version: 0.9": Case([b"GET " + url + b"\r\n", End], {400, 0}, by_server=True),
        "version: 2.0": Case(
            [head(b"POST", url, *body, version=b"2.0"), BODY], {202, 400}, BODY, by_server=True
        ),
        "version: 1.9": Case(
            [head(b"POST", url, *body, version=b"1.9"), BODY], {202, 400}, BODY, by_server=True
        ),
        "version: a word": Case([head(b"POST", url, *body, version=b"one"), BODY], 400, by_server=True),
        "version: the preface of HTTP/2": Case(
            [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"], [{404, 400}, {400, 0}], by_server=True
        ),
        "version: TLS": Case([TLS_HELLO, End], {400, 0}, by_server=True),
        "version: nothing at all": Case([End], 0, by_server=True),
        "version: empty lines": Case([b"\r\n\r\n\r\n", End], {400, 0}, by_server=True),
        **upgrades(target),
    }


def upgrades(target: Target) -> dict[str, Case]:
    """Offers of another protocol; uvicorn with httptools takes what follows the head for that protocol's."""
    offers = {
        "HTTP/2": ((JSON, LENGTH, *TO_HTTP_2), BODY),
        "HTTP/2, in chunks": ((JSON, CHUNKED, *TO_HTTP_2), CHUNKS),
        "a protocol that is none": ((JSON, LENGTH, b"Connection: Upgrade", b"Upgrade: x"), BODY),
    }
    return {
        f"upgrade: to {name}": Case(
            [head(b"POST", target.path(), *lines, close=False), body],
            {202, 400},
            BODY,
            by_server=True,
        )
        for name, (lines, body) in offers.items()
    }


def several(target: Target) -> dict[str, Case]:
    """Requests behind each other on one connection, and such as only look like one."""
    url = target.path()
    good, last = post(url, BODY, close=False), post(url, BODY)
    wrong = url[:-1] + (b"0" if url[-1:] != b"0" else b"1")
    hidden = post(url, b"[]")
    bad = post(url, b"{", close=False)
    return {
        "several: 20 at once": Case([good * 19 + last], [202] * 20, BODY),
        "several: one after the other": Case([good, 0.05, good, 0.05, last], [202] * 3, BODY),
        "several: a good one behind a wrong one": Case(
            [post(wrong, BODY, close=False), 0.1, last], [404, 202], BODY
        ),
        "several: a good one behind a read one": Case(
            [head(b"GET", url, close=False) + last], [200, 202], BODY
        ),
        "several: nonsense behind a good one": Case(
            [good, 0.2, b"nonsense\r\n\r\n"], [202, 400], BODY, by_server=True
        ),
        "several: half a one behind a good one": Case([good + last[:-2]], 202, BODY),
        "several: one in the body of a wrong one": Case([post(wrong, hidden)], 404),
        "several: one in the body of a wrong one that stays": Case([post(wrong, hidden, close=False)], 404),
        "several: one in the body of a read one": Case(
            [head(b"GET", url, b"Content-Length: %d" % len(hidden)), hidden], 200
        ),
        "several: one in the body of one that is too long": Case(
            [head(b"POST", url, JSON, b"Content-Length: 3000000", close=False), hidden], 413
        ),
        "several: a bad one and a good one": Case([bad + last], [400, 202], BODY, kept=b"{"),
    }


def slow(target: Target) -> dict[str, Case]:
    url = target.path()
    top = head(b"POST", url, JSON, LENGTH)
    return {
        "slow: a byte now and then": Case([top, *[b"{", 0.2] * 6], 408),
        "slow: nothing after the head": Case([top], 408),
        "slow: the head in two parts": Case([top[:40], 0.1, top[40:] + BODY], 202, BODY),
        "slow: each byte of the head by itself": Case(
            [*[top[i : i + 1] for i in range(len(top))], BODY], 202, BODY
        ),
        "slow: half a head": Case([top[:60], End], {400, 0}, by_server=True),
        "slow: waits for leave": Case(
            [head(b"POST", url, JSON, LENGTH, b"Expect: 100-continue"), 0.1, BODY], 202, BODY
        ),
        "slow: waits for something else": Case(
            [head(b"POST", url, JSON, LENGTH, b"Expect: 200-ok"), BODY], {202, 417}, BODY, by_server=True
        ),
    }
