"""Charsets: which are known, where they are declared, and that nothing is replaced on the way."""

from __future__ import annotations

import codecs
import json
import resource

import pytest

from inbound_webhooks.errors import BodyMalformed, QueryMalformed
from inbound_webhooks.event.charsets import _CODECS, _FORM_CODECS, of_typed_text
from inbound_webhooks.event.forms import MAX_FORM_FIELDS
from tests.unit.event.builders import FORM, sources

XML = "application/xml"

# --- forms ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "parameters", "name"),
    [
        (b"name=%FC%80", "; charset=windows-1252", "ü€"),
        (b"name=\xfc\x80", "; charset=windows-1252", "ü€"),
        (b"name=%FC%80", '; charset="Windows-1252"', "ü€"),
        (b"charset=windows-1252&name=%FC%80", "", "ü€"),
        (b"name=%FC%80&charset=windows-1252", "", "ü€"),
        (b"_charset_=windows-1252&name=%FC%80", "", "ü€"),
        (b"charset=utf-8&_charset_=windows-1252&name=%FC%80", "", "ü€"),
        (b"charset=windows-1252&name=%C3%BC", "; charset=utf-8", "ü"),
        (b"charset=&name=%C3%BC", "", "ü"),
        (b"charset=Shift_JIS&name=%93%FA%96%7B", "", "日本"),
        (b"charset=KOI8-R&name=%C4%C1", "", "да"),
        (b"name=%C3%BC", "", "ü"),
        (b"name=\xc3\xbc", "", "ü"),
        (b"name=\xc3\xbc+%26", "; charset=UTF-8", "ü &"),
        (b"name=%F0%9F%98%80", "", "😀"),
        (b"name=a%26b%3Dc+d%2B", "; charset=big5", "a&b=c d+"),
        (b"charset=klingon&name=plain+text%0D%0A", "", "plain text\r\n"),
        (b"charset=rot13&name=uryyb", "", "uryyb"),
    ],
)
def test_a_form_is_decoded_by_the_charset_that_it_declares(form, parameters, name):
    assert sources(form, FORM + parameters).body.properties["name"] == name


def test_the_names_of_fields_are_decoded_too():
    assert sources(b"charset=windows-1252&gr%F6%DFe=1", FORM).body.properties["größe"] == "1"


@pytest.mark.parametrize(
    ("form", "parameters", "reason"),
    [
        (b"name=%FC", "", "Field 1 of the form is not utf-8 text: invalid byte at position 0."),
        (b"a=1&name=\xfc", "", "Field 2 of the form is not utf-8 text: invalid byte at position 0."),
        (b"name=x%ED%A0%80", "", "Field 1 of the form is not utf-8 text: invalid byte at position 1."),
        (
            b"name=%81",
            "; charset=windows-1252",
            "Field 1 of the form is not cp1252 text: invalid byte at position 0.",
        ),
        (b"name=%FC&charset=klingon", "", "The charset 'klingon' is not supported."),
        (b"_charset_=klingon&name=a", "", "The charset 'klingon' is not supported."),
        (b"name=a", "; charset=klingon", "The charset 'klingon' is not supported."),
        (b"name=a", "; charset=utf-16", "The charset 'utf-16' is not supported."),
        (b"charset=utf-7&name=%FC", "", "The charset 'utf-7' is not supported."),
        (b"charset=iso-2022-jp&name=%1B%24B", "", "The charset 'iso-2022-jp' is not supported."),
    ],
)
def test_a_form_that_cannot_be_decoded_is_malformed(form, parameters, reason):
    with pytest.raises(BodyMalformed) as caught:
        _ = sources(form, FORM + parameters).body.properties
    assert caught.value.message == reason


# --- other bodies -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "codec", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"]
)
@pytest.mark.parametrize("value", [{"a": "ü"}, {"a": "plain"}, 10, "日本"])
def test_json_is_decoded_by_its_first_bytes(codec, value):
    body = sources(json.dumps(value, ensure_ascii=False).encode(codec)).body
    assert body.value == value


@pytest.mark.parametrize("content", [b"1\0", b"10\0\0", b"[1]\0", b"{}\0\0"])
def test_a_nul_behind_json_is_no_sign_of_utf16(content):
    with pytest.raises(BodyMalformed):
        _ = sources(content).body.value


@pytest.mark.parametrize("charset", ["windows-1252", "utf-8", "klingon", "utf-16"])
def test_json_in_utf8_is_read_whatever_charset_is_declared(charset):
    assert sources('{"a": "ü"}'.encode(), f"application/json; charset={charset}").body.value == {"a": "ü"}


def test_json_that_is_not_utf8_is_read_in_the_charset_that_it_declares():
    assert sources(b'{"a": "\xfc"}', "application/json; charset=windows-1252").body.value == {"a": "ü"}


@pytest.mark.parametrize(
    ("content", "content_type", "text"),
    [
        (b'<?xml version="1.0" encoding="windows-1252"?><a>\xfc</a>', XML, "ü"),
        (b"<?xml version='1.0' encoding='ISO-8859-15' standalone='yes'?><a>\xa4</a>", XML, "€"),
        (b'<?xml version="1.0" encoding="windows-1252"?><a>\xc3\xbc</a>', f"{XML}; charset=utf-8", "ü"),
        ('<?xml version="1.0" encoding="utf-16"?><a>ü</a>'.encode(), "text/xml", "ü"),
        ('<?xml version="1.0" encoding="utf-16"?><a>ü</a>'.encode("utf-16"), "text/xml", "ü"),
        ("<a>ü</a>".encode("utf-8-sig"), "application/soap+xml", "ü"),
        ('<a encoding="windows-1252">ü</a>'.encode(), XML, "ü"),
    ],
)
def test_xml_is_decoded_by_its_own_declaration(content, content_type, text):
    assert f">{text}</a>" in sources(content, content_type).body.text


@pytest.mark.parametrize(
    "charset", ["klingon", "idna", "punycode", "rot13", "zlib", "base64", "utf-7", "x" * 99]
)
@pytest.mark.parametrize("media_type", ["text/plain", XML])
def test_an_unknown_charset_is_malformed(charset, media_type):
    with pytest.raises(BodyMalformed, match=r"The charset .+ is not supported\."):
        _ = sources(b"text", f"{media_type}; charset={charset}").body.text


def test_a_message_repeats_no_more_of_a_charset_than_a_name_has():
    with pytest.raises(BodyMalformed) as caught:
        _ = sources(b"text", "text/plain; charset=" + "\x1b\n<b>" * 1_000).body.text
    assert len(caught.value.message) < 250
    assert caught.value.message.isprintable()


@pytest.mark.parametrize("query", ["a=%ff", "a=1&%fc=2", "a=%ED%A0%80", "a=%C3"])
def test_a_query_that_is_not_utf8_is_malformed(query):
    with pytest.raises(QueryMalformed):
        _ = sources(query=query).query.lists


# --- the allow-list ---------------------------------------------------------------------------


def test_each_codec_is_one_of_text():
    assert all(codecs.lookup(name)._is_text_encoding for name in _CODECS.values())


def test_each_codec_of_forms_agrees_with_ascii():
    ascii_text = "".join(map(chr, range(128)))
    for name in set(_FORM_CODECS.values()):
        assert ascii_text.encode().decode(name) == ascii_text, name


def test_each_codec_takes_time_in_proportion_to_the_body():
    """CPU seconds of 512 KiB of the worst bytes: the punycode codec takes minutes."""
    worst = (b"\x81\x30\x81\x30", b"a-", b"\xff\xfe\x00\x00", b"\xfc", b"\x8f\xa2\xaf")
    for name in sorted(set(_CODECS.values())):
        started = resource.getrusage(resource.RUSAGE_SELF).ru_utime
        for pattern in worst:
            (pattern * (512 * 1024 // len(pattern))).decode(name, "ignore")
        assert resource.getrusage(resource.RUSAGE_SELF).ru_utime - started < 3, name


def test_many_fields_of_a_form_take_time_in_proportion():
    form = b"charset=windows-1252&" + b"&".join([b"%FC=" + b"%FC" * 60] * (MAX_FORM_FIELDS - 1))
    started = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    assert len(sources(form, FORM).body.properties.lists["ü"]) == MAX_FORM_FIELDS - 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_utime - started < 3


# --- what users type --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content_type", "codec"),
    [
        ("text/plain; charset=windows-1252", "cp1252"),
        ("application/json; charset=windows-1252", "utf-8"),
        ("text/plain; charset=klingon", "utf-8"),
        ("text/plain", "utf-8"),
        ("", "utf-8"),
    ],
)
def test_typed_text_is_encoded_as_its_content_type_says(content_type, codec):
    assert of_typed_text(content_type) == codec
