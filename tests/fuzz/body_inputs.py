"""Requests: JSON, form, XML, multipart and bytes, with charsets and encodings that fit or do not."""

from __future__ import annotations

import gzip
import json
import zlib
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from inbound_webhooks.event.request import InboundRequest
from tests.fuzz.template_inputs import request


@dataclass(frozen=True)
class BodyInput:
    """A body of equal parts between a start and an end, how it is declared, and how it is compressed."""

    start: bytes
    part: bytes
    times: int
    end: bytes
    content_type: str
    encoding: str
    layers: int
    query: str

    def request(self) -> InboundRequest:
        """The request."""
        body = self.start + self.part * self.times + self.end
        for _ in range(self.layers):
            body = gzip.compress(body, 1) if self.encoding != "deflate" else zlib.compress(body, 1)
        headers = (("Content-Encoding", self.encoding),) if self.encoding else ()
        return request(body, self.content_type, query=self.query, headers=headers)


CHARSETS = st.sampled_from(
    ["", "; charset=utf-8", "; charset=windows-1252", "; charset=utf-16", "; charset=UTF-7", "; charset=idna",
     '; charset="punycode"', "; charset=zlib", "; charset=nonsense", "; charset=", "; charset=rot13"]
)  # fmt: skip
TYPES = st.sampled_from(
    ["application/json", "application/x-www-form-urlencoded", "application/xml", "text/plain", "text/xml", "",
     "multipart/form-data; boundary=b", "application/vnd.a+json", "application/octet-stream", "a/b/c", ";"]
)  # fmt: skip
JSON_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)


def _wrapped(start: str, part: str, end: str) -> tuple[bytes, bytes, bytes]:
    return start.encode(), part.encode(), end.encode()


SHAPES = st.one_of(
    st.builds(lambda it: (json.dumps(it).encode(), b"", b""), JSON_VALUES),
    st.builds(
        lambda it: (json.dumps(it, ensure_ascii=False).encode("utf-8", "surrogatepass"), b"", b""),
        JSON_VALUES,
    ),
    st.sampled_from(
        [
            _wrapped('{"a":', "[", ""),
            _wrapped("[1", ",1", "]"),
            _wrapped('{"a":1', ',"a":1', "}"),
            _wrapped("[", "9", "]"),
            _wrapped("[1e", "9", "]"),
            _wrapped("[0.", "1", "]"),
            _wrapped('["', "\\u0000", '"]'),
            _wrapped('["', "\\ud800", '"]'),
            _wrapped('{"client\\u0073tate":"', "a", '"}'),
            _wrapped("a=1", "&a=1", ""),
            _wrapped("a[", "b][", "]=1"),
            _wrapped("a=", "%C3%A4", ""),
            _wrapped("a=", "%ff", ""),
            _wrapped("<a>", "<a>", "</a>"),
            _wrapped('<!DOCTYPE a [<!ENTITY b "', "&b;", '">]><a>&b;</a>'),
            _wrapped("", '--b\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n', "--b--\r\n"),
        ]
    ),
    st.builds(lambda one, other: (one, other, b""), st.binary(max_size=20), st.binary(max_size=3)),
)
BODIES = st.builds(
    lambda shape, times, content_type, charset, encoding, layers, query: BodyInput(
        *(shape[0], shape[1], times, shape[2]), content_type + charset, encoding, layers, query
    ),
    SHAPES,
    st.sampled_from([0, 1, 10, 200, 10_000, 300_000]),
    TYPES,
    CHARSETS,
    st.sampled_from(["", "", "", "gzip", "deflate", "identity", "gzip, gzip", "br", "GZIP"]),
    st.sampled_from([0, 1, 1, 2]),
    st.sampled_from(["", "a=1&a=2", "%ff=%00", "a=%C3%28", "=" * 1000, "&" * 5000, "a%00b=c"]),
)
