"""Bodies that are not what they say, or more than anybody can hold."""

from __future__ import annotations

import gzip
import zlib

from tests.integration.hostile.case import JSON, Case, Target, post

LIMIT = 2 * 1024 * 1024  # max_body_bytes unless set

NESTED = b"[" * 10_000 + b"]" * 10_000
BOMB = gzip.compress(b"[" + b"1," * (8 * 1024 * 1024) + b"1]", 9)
PACKED = gzip.compress(b'{"a": 1}', mtime=0)


def cases(target: Target) -> dict[str, Case]:
    return {**json(target), **json_text(target), **texts(target), **forms(target), **packed(target)}


UNKNOWN = object()
"""Stands for the value of a text whose charset is unknown."""


def json(target: Target) -> dict[str, Case]:
    """JSON that parsers disagree on."""
    whole = b'{"a": %s}'
    taken = {
        "two equal keys": (b'{"a": 1, "a": 2}', {"a": 2}),
        "an integer past 64 bits": (whole % b"18446744073709551616", {"a": 2**64}),
        "a negative integer past 64 bits": (whole % b"-9223372036854775809", {"a": -(2**63) - 1}),
        "an integer of 30 digits": (whole % (b"123456789" * 3), {"a": int("123456789" * 3)}),
        "an integer of 4,300 digits": (b"9" * 4300, int("9" * 4300)),
        "a fraction of 5,000 digits": (b"1." + b"0" * 5000, 1.0),
        "a number that is almost nothing": (b"1e-400", 0.0),
        "minus zero": (b"-0", 0),
        "a mark of its byte order": (b"\xef\xbb\xbf[1]", [1]),
        "UTF-16 with a mark": ('{"a": 1}'.encode("utf-16"), {"a": 1}),
        "UTF-16 without a mark": ('{"a": 1}'.encode("utf-16-be"), {"a": 1}),
        "UTF-32": ('{"a": 1}'.encode("utf-32"), {"a": 1}),
        "keys that Python calls its own": (b'{"__class__": {"__init__": 1}}', {"__class__": {"__init__": 1}}),
        "a key that JavaScript calls its own": (b'{"__proto__": {"a": 1}}', {"__proto__": {"a": 1}}),
        "100 levels": (b"[" * 100 + b"]" * 100, None),
        "a pair of surrogates": (rb'"\ud83d\ude00"', "\U0001f600"),
        "a character that is none": (rb'"\uffff\ufdd0"', "\uffff\ufdd0"),
        "a NUL that is a backslash": (rb'"\\u0000"', r"\u0000"),
        "20,000 keys": (b"{" + b",".join(b'"k%d":1' % n for n in range(20_000)) + b"}", None),
        "a key of a megabyte": (b'{"%s": 1}' % (b"k" * 1_000_000), None),
        "as many bytes as the limit": (b'"' + b"a" * (LIMIT - 2) + b'"', None),
    }
    return {
        f"JSON: {name}": Case(
            [post(target.path(), body)], 202, body, **({} if value is None else {"value": value})
        )
        for name, (body, value) in taken.items()
    }


def json_text(target: Target) -> dict[str, Case]:
    """What is no JSON, and what PostgreSQL cannot store of it."""
    no_json = {
        "NaN": b'{"a": NaN}',
        "infinity": b"[Infinity, -Infinity]",
        "a number past all": b"1e400",
        "an integer of 4,301 digits": b"9" * 4301,
        "an integer of two million digits": b"9" * LIMIT,
        "10,000 nested arrays": NESTED,
        "10,000 nested arrays that nobody closes": b"[" * 10_000,
        "10,000 nested objects": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        "two million brackets": b"[" * LIMIT,
        "101 levels": b"[" * 101 + b"]" * 101,
        "no bytes": b"",
        "white space": b" \r\n\t",
        "a body that breaks off": b'{"a": "b',
        "a body with more behind it": b"{} {}",
        "a raw NUL": b'{"a": "\0"}',
        "a NUL between tokens": b'{"a":\0 1}',
        "invalid UTF-8": b'{"a": "\xff"}',
        "a surrogate in UTF-8": b'{"a": "\xed\xa0\x80"}',
        "an overlong form in UTF-8": b'{"a": "\xc0\xaf"}',
        "UTF-8 that breaks off": b'"\xe2\x82"',
        "two marks of the byte order": b"\xef\xbb\xbf\xef\xbb\xbf[1]",
    }
    not_storable = {
        "half a pair of surrogates": rb'{"a": "\ud800"}',
        "half a pair of surrogates in a key": rb'{"\udfff": 1}',
        "a pair of surrogates the wrong way": rb'{"a": ["\udc00\ud800"]}',
        "a NUL": rb'{"a": "x\u0000"}',
        "a NUL in a key": rb'{"a": {"\u0000": 1}}',
    }
    url = target.path()
    refused = {name: (400, body) for name, body in no_json.items()}
    refused |= {name: (422, body) for name, body in not_storable.items()}
    return {
        f"JSON: {name}": Case([post(url, body)], status, kept=body)
        for name, (status, body) in refused.items()
    }


def texts(target: Target) -> dict[str, Case]:
    """Charsets, and types that are none."""
    url, made = target.path(), {}
    for charset, body, value in (
        ("no charset", b"\xc3\xa4", UNKNOWN),
        ("x-unknown", b"\xc3\xa4", UNKNOWN),
        ("idna", b"xn--0", UNKNOWN),
        ("base64", b"YQ==", UNKNOWN),
        ("zlib", b"abc", UNKNOWN),
        ("unicode_escape", rb"\x41", UNKNOWN),
        ("utf-7", b"+AGE-", UNKNOWN),
        ("../../etc/passwd", b"a", UNKNOWN),
        ("utf-8\0", b"a", None),
        ("x" * 10_000, b"a", UNKNOWN),
        ('"utf-8', b"\xc3\xa4", "ä"),
        ("utf-16", "ä".encode("utf-16"), "ä"),
        ("latin-1", b"\xe4", "ä"),
    ):
        line = b"Content-Type: text/plain; charset=" + charset.encode()
        name = f"text: charset {charset[:20]!r}"
        if value is None:
            made[name] = Case([post(url, body, type=line)], 400, by_server=True)
        elif value is UNKNOWN:
            made[name] = Case([post(url, body, type=line)], 400, kept=body)
        else:
            made[name] = Case([post(url, body, type=line)], 202, body, value=value)
    for name, type_, body, status in (
        ("invalid UTF-8", b"text/plain", b"a\xff", 400),
        ("half a character of UTF-16", b"text/plain; charset=utf-16", b"\xff\xfea", 400),
        ("an ASCII that is none", b"text/plain; charset=us-ascii", b"\xe4", 400),
        ("a NUL", b"text/plain", b"a\0b", 422),
        ("a NUL in XML", b"application/xml", b"<a>\0</a>", 422),
        ("a NUL in UTF-16", b"text/plain; charset=utf-16", "a\0".encode("utf-16"), 422),
    ):
        line = b"Content-Type: " + type_
        made[f"text: {name}"] = Case([post(url, body, type=line)], status, kept=body)
    laughs = b'<!DOCTYPE a [<!ENTITY b "ha"><!ENTITY c "&b;&b;&b;">]><a>&c;</a>'
    for name, lines, body, value in (
        ("no type", b"", b"\0\xff", "AP8="),
        ("an empty type", b"Content-Type:", b"\0\xff", "AP8="),
        ("a type of 10,000 characters", b"Content-Type: " + b"a/" * 5_000, b"a", "YQ=="),
        ("a type that is none", b"Content-Type: application/json, text/plain", b"{", "ew=="),
        ("two types", JSON + b"\r\nContent-Type: text/plain", b"[1]", None),
        ("letters beyond ASCII in the type", "Content-Type: téxt/plain".encode(), b"a", "YQ=="),
        ("bytes", b"Content-Type: application/octet-stream", b"\0" * 1000, None),
        ("parts", b"Content-Type: multipart/form-data; boundary=x", b"--x--", "LS14LS0="),
        ("parts without a boundary", b"Content-Type: multipart/form-data", b"--", "LS0="),
        ("entities of entities", b"Content-Type: application/xml", laughs, laughs.decode()),
    ):
        expected = {} if value is None else {"value": value}
        made[f"text: {name}"] = Case([post(url, body, type=lines)], 202, body, **expected)
    for name, type_, body in (
        ("a NUL", b"text/plain", b"a\0b"),
        ("invalid UTF-8", b"text/plain", b"a\xff"),
        ("JSON that is none", b"application/json", b"\xff\xfe{"),
    ):
        line = b"Content-Type: " + type_
        status = 422 if name == "a NUL" else 202
        made[f"a whole event: {name}"] = Case(
            [post(target.path(target.events), body, type=line)],
            status,
            body,
            kept=body if status == 422 else None,
        )
    return made


def forms(target: Target) -> dict[str, Case]:
    line = b"Content-Type: application/x-www-form-urlencoded"
    sent = {
        "a NUL": (422, b"field=a%00b"),
        "letters beyond ASCII": (202, "field=ä".encode()),
        "10,001 fields": (400, b"&".join([b"field=1"] * 10_001)),
        "10,000 fields": (202, b"&".join([b"field=1"] * 10_000)),
        "a code that is none": (202, b"field=%zz%&%=%"),
        "invalid UTF-8": (400, b"field=%ff%fe"),
        "a surrogate": (400, b"field=%ed%a0%80"),
        "nothing but separators": (202, b"&&&===&&;"),
        "a method": (202, b"_method=DELETE&field=1"),
    }
    return {
        f"a form: {name}": Case(
            [post(target.path(), body, type=line)], status, body, kept=None if status == 202 else body
        )
        for name, (status, body) in sent.items()
    }


def packed(target: Target) -> dict[str, Case]:
    """Content-Encoding."""
    of_a_dictionary = zlib.compressobj(zdict=b"abc")
    sent: dict[str, tuple[int, bytes, bytes]] = {
        "gzip": (202, b"gzip", PACKED),
        "GZIP": (202, b"GZIP", PACKED),
        "x-gzip": (202, b"x-gzip", PACKED),
        "deflate": (202, b"deflate", zlib.compress(b"{}")),
        "deflate without its head": (202, b"deflate", zlib.compress(b"{}")[2:-4]),
        "identity": (202, b"identity", b"{}"),
        "a bomb of 16 MB": (413, b"gzip", BOMB),
        "a bomb in a bomb": (400, b"gzip", gzip.compress(BOMB)),
        "a bomb of deflate": (413, b"deflate", zlib.compress(b" " * (LIMIT + 1))),
        "twice": (415, b"gzip, gzip", gzip.compress(PACKED)),
        "twice in two lines": (415, b"gzip\r\nContent-Encoding: gzip", gzip.compress(PACKED)),
        "br": (415, b"br", b"\x0b\x00\x80{}\x03"),
        "zstd": (415, b"zstd", b"\x28\xb5\x2f\xfd"),
        "with a weight": (415, b"gzip;q=1.0", PACKED),
        "letters beyond ASCII": (415, "gzïp".encode(), PACKED),
        "gzip that breaks off": (400, b"gzip", PACKED[:-3]),
        "gzip with a wrong sum": (400, b"gzip", PACKED[:-8] + b"\0" * 8),
        "gzip with more behind it": (400, b"gzip", PACKED + b"more"),
        "gzip that is none": (400, b"gzip", b"{}"),
        "gzip of nothing": (400, b"gzip", gzip.compress(b"")),
        "gzip without a byte": (400, b"gzip", b""),
        "101 parts of gzip": (400, b"gzip", gzip.compress(b"1") * 101),
        "deflate that needs a dictionary": (
            400,
            b"deflate",
            of_a_dictionary.compress(b"{}") + of_a_dictionary.flush(),
        ),
    }
    return {
        f"packed: {name}": Case(
            [post(target.path(), body, b"Content-Encoding: " + encoding)],
            status,
            body,
            kept=body if status == 400 else None,
        )
        for name, (status, encoding, body) in sent.items()
    }
