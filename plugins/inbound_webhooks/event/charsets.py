"""Which charsets are decoded, and where a request declares its own."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from inbound_webhooks.errors import BodyMalformed

UTF8 = "utf-8-sig"
"""UTF-8; a byte order mark is no part of the text."""

MAX_LABEL_CHARS = 40
MIN_WIDE_BYTES = 4

_DECLARATION_BYTES = 256
_XML_DECLARATION = re.compile(rb"""\s*<\?xml\s[^>]*?\bencoding\s*=\s*["']([A-Za-z0-9._:-]+)["']""")

# Names as senders write them (https://encoding.spec.whatwg.org/#names-and-labels). An allow-list, because
# Python's own registry would add codecs that take quadratic time or are none of text, such as "idna", "rot13"
# and "zlib". All of these decode in linear time.
_ASCII_SUPERSETS = {
    UTF8: ("utf-8", "utf8", "unicode-1-1-utf-8"),
    "ascii": ("us-ascii", "ascii"),
    "latin-1": ("iso-8859-1", "iso8859-1", "latin-1", "latin1", "l1"),
    **{f"iso8859-{part}": (f"iso-8859-{part}", f"iso8859-{part}") for part in range(2, 17) if part != 12},
    **{f"cp{page}": (f"windows-{page}", f"cp{page}", f"x-cp{page}") for page in range(1250, 1259)},
    "cp874": ("windows-874", "tis-620"),
    "koi8-r": ("koi8-r",),
    "koi8-u": ("koi8-u",),
    "mac-roman": ("macintosh", "x-mac-roman"),
    "cp932": ("shift_jis", "shift-jis", "sjis", "x-sjis", "windows-31j"),
    "euc_jp": ("euc-jp", "x-euc-jp"),
    "gb18030": ("gb2312", "gbk", "gb18030", "x-gbk"),
    "big5": ("big5",),
    "cp949": ("euc-kr", "ks_c_5601-1987", "windows-949"),
}
_WIDE = {
    "utf-16": ("utf-16",),
    "utf-16-le": ("utf-16le",),
    "utf-16-be": ("utf-16be",),
    "utf-32": ("utf-32",),
    "utf-32-le": ("utf-32le",),
    "utf-32-be": ("utf-32be",),
}


def _by_label(codecs: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    return {label: codec for codec, labels in codecs.items() for label in labels}


_FORM_CODECS = _by_label(_ASCII_SUPERSETS)
"""Label -> Python's codec, where a form's names and separators are ASCII."""

_BY_LABEL_WIDE = _by_label(_WIDE)
_CODECS = _FORM_CODECS | _BY_LABEL_WIDE


def parameter(content_type_parameters: str) -> str:
    """The charset of a Content-Type, from what stands behind its media type; "" without one."""
    for written in content_type_parameters.split(";"):
        name, _, value = written.partition("=")
        if name.strip().lower() == "charset":
            return value.strip().strip("\"'")
    return ""


def of_typed_text(content_type: str) -> str:
    """Python's codec between a body's bytes and the text that users type and read; UTF-8 where in doubt."""
    media_type, _, parameters = content_type.partition(";")
    label = "" if media_type.strip().lower().endswith("json") else parameter(parameters)
    return _CODECS.get(label.lower(), UTF8).removesuffix("-sig")


def of_xml(content: bytes) -> str:
    """The charset of an XML document without one in its Content-Type (RFC 7303, section 3)."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    found = _XML_DECLARATION.match(content[:_DECLARATION_BYTES])
    declared = found[1].decode() if found else ""
    # A declaration that can be read so is not in UTF-16: .NET writes it into strings that are sent as UTF-8.
    return "" if declared.lower() in _BY_LABEL_WIDE else declared


def codec(label: str, *, in_form: bool = False) -> str:
    """Python's codec for a charset; UTF-8 without a label.

    :param in_form: whether it has to agree with ASCII, as the syntax of a form does
    :raises BodyMalformed: none of the supported charsets has this name
    """
    known = _FORM_CODECS if in_form else _CODECS
    found = known.get(label.strip().lower(), "") if label else UTF8
    if not found:
        raise BodyMalformed(f"The charset {shown(label)} is not supported.")
    return found


def shown(label: str) -> str:
    """A charset's name for a message; the sender chose it."""
    return ascii(label[:MAX_LABEL_CHARS]) + ("…" if len(label) > MAX_LABEL_CHARS else "")


def decode(content: bytes, codec_name: str, what: str = "The body") -> str:
    """Decode bytes strictly: nothing is replaced.

    :raises BodyMalformed: says where they are not valid
    """
    try:
        return content.decode(codec_name)
    except UnicodeDecodeError as error:
        name = codec_name.removesuffix("-sig")
        raise BodyMalformed(f"{what} is not {name} text: invalid byte at position {error.start}.") from None


def decode_json(content: bytes, label: str) -> str:
    """Decode JSON: UTF-8, or UTF-16 and UTF-32 by their first bytes (RFC 4627, section 3).

    JSON has no charset parameter (RFC 8259, section 11); senders that declare another charset all the same
    are believed where the bytes are not what JSON has to be.

    :raises BodyMalformed: they are neither
    """
    # Two ASCII characters, which any JSON begins with, have four bytes in UTF-16: "1" and NUL are none.
    name = json.detect_encoding(content[:4]) if len(content) >= MIN_WIDE_BYTES else UTF8
    try:
        return decode(content, UTF8 if name == "utf-8" else name)
    except BodyMalformed:
        if not label or codec(label) == UTF8:
            raise
        return decode(content, codec(label))
