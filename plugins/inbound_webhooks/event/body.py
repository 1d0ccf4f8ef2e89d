"""A request's body as bytes, text, JSON value and form fields, decoded on first access."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import parse_qsl

from inbound_webhooks.errors import BodyMalformed
from inbound_webhooks.event import json_text
from inbound_webhooks.event.cached_attribute import cached_attribute
from inbound_webhooks.event.multidict import MultiDict

MAX_FORM_FIELDS = 10_000

# Only charsets that decode in linear time. Python's own registry would add others, such as "idna" and "zlib".
_TEXT_CHARSETS = {
    name: codec
    for codec, names in {
        "utf-8-sig": ("utf-8", "utf8"),
        "ascii": ("us-ascii", "ascii"),
        "latin-1": ("iso-8859-1", "latin-1", "latin1"),
        "iso8859-15": ("iso-8859-15",),
        "cp1250": ("windows-1250",),
        "cp1251": ("windows-1251",),
        "cp1252": ("windows-1252",),
        "utf-16": ("utf-16",),
        "shift_jis": ("shift_jis",),
        "euc_jp": ("euc-jp",),
        "gb18030": ("gb2312", "gbk", "gb18030"),
        "big5": ("big5",),
        "euc_kr": ("euc-kr",),
    }.items()
    for name in names
}


class Body:
    """The body as text, as a JSON value, and as properties for paths; decoded on first access."""

    def __init__(self, content: bytes, content_type: str) -> None:
        self.content = content
        self._type, _, parameters = content_type.partition(";")
        self._type = self._type.strip().lower()
        self._charset = _charset(parameters)

    def __bool__(self) -> bool:
        return bool(self.content)

    def __contains__(self, item: Any) -> bool:
        return item in self.value

    @property
    def is_json(self) -> bool:
        """Whether the media type is JSON, with the suffix +json (RFC 6839) too."""
        return self._type == "application/json" or self._type.endswith("+json")

    @cached_attribute
    def text(self) -> str:
        """The body as text; Base64 for media types other than text.

        :raises BodyMalformed: the bytes are not valid in their charset
        """
        if self.is_json:
            return self._decode("utf-8-sig")  # a byte order mark is ignored, as RFC 8259 allows
        if self._type in ("application/xml", "text/xml", "text/plain") or self._type.endswith("+xml"):
            return self._decode(_TEXT_CHARSETS.get(self._charset, "utf-8-sig"))
        return base64.b64encode(self.content).decode("ascii")

    @cached_attribute
    def value(self) -> Any:
        """The JSON value of a JSON body, the text of any other.

        :raises BodyMalformed: the media type is JSON and the body is not
        """
        if not self.is_json:
            return self.text
        try:
            # Bytes are parsed without decoding them first where that cannot make a difference.
            return json_text.parse(self.content if self.content.isascii() else self.text)
        except json_text.JsonRefused as error:
            raise BodyMalformed(f"Content-Type is JSON, but the body is not: {error.message}.") from None

    @cached_attribute
    def properties(self) -> Any:
        """What paths below the body look into: the JSON value, the form's fields, else None."""
        if self.is_json:
            return self.value
        if self._type == "application/x-www-form-urlencoded":
            try:
                form = self.content.decode("ascii")
                return MultiDict(parse_qsl(form, keep_blank_values=True, max_num_fields=MAX_FORM_FIELDS))
            except UnicodeDecodeError:
                raise BodyMalformed("The form is not percent-encoded ASCII.") from None
            except ValueError:
                raise BodyMalformed(f"The form has more than {MAX_FORM_FIELDS} fields.") from None
        return None

    @property
    def value_or_text(self) -> Any:
        """The JSON value of a JSON body, else its text, else Base64 of bytes that are not text either."""
        for read in (lambda: self.value, lambda: self.text):
            try:
                return read()
            except BodyMalformed:
                continue
        return base64.b64encode(self.content).decode("ascii")

    def _decode(self, charset: str) -> str:
        try:
            return self.content.decode(charset)
        except UnicodeDecodeError as error:
            name = charset.removesuffix("-sig")
            message = f"The body is not {name} text: invalid byte at position {error.start}."
            raise BodyMalformed(message) from None


def _charset(parameters: str) -> str:
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            return value.strip().strip('"').lower()
    return ""
