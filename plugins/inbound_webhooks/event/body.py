"""A request's body as bytes, text, JSON value and form fields, decoded on first access."""

from __future__ import annotations

import base64
from typing import Any

from inbound_webhooks.errors import BodyMalformed
from inbound_webhooks.event import charsets, json_text
from inbound_webhooks.event.cached_attribute import cached_attribute
from inbound_webhooks.event.forms import form_fields
from inbound_webhooks.event.multidict import MultiDict


class Body:
    """The body as text, as a JSON value, and as properties for paths; decoded on first access."""

    def __init__(self, content: bytes, content_type: str) -> None:
        self.content = content
        self._type, _, parameters = content_type.partition(";")
        self._type = self._type.strip().lower()
        self._parameters = parameters
        self.is_json = self._type == "application/json" or self._type.endswith("+json")
        """Whether the media type is JSON, with the suffix +json (RFC 6839) too."""

    @property
    def is_text(self) -> bool:
        """Whether the media type is plain text or XML, which expressions read as text."""
        return self._type == "text/plain" or self._is_xml

    @property
    def _is_xml(self) -> bool:
        return self._type in ("application/xml", "text/xml") or self._type.endswith("+xml")

    def __bool__(self) -> bool:
        return bool(self.content)

    def __contains__(self, item: Any) -> bool:
        return item in self.value

    @cached_attribute
    def text(self) -> str:
        """The body as text; Base64 for media types other than text.

        :raises BodyMalformed: the charset is unknown, or the bytes are not valid in it
        """
        label = charsets.parameter(self._parameters) if self._parameters else ""
        if self.is_json:
            return charsets.decode_json(self.content, label)
        if self._is_xml:
            label = label or charsets.of_xml(self.content)
        elif not self.is_text:
            return base64.b64encode(self.content).decode("ascii")
        return charsets.decode(self.content, charsets.codec(label))

    @cached_attribute
    def value(self) -> Any:
        """The JSON value of a JSON body, the text of any other.

        :raises BodyMalformed: the media type is JSON and the body is not
        """
        if not self.is_json:
            return self.text
        try:
            # Bytes are parsed without decoding them first where that cannot make a difference.
            is_ascii = self.content.isascii() and b"\0" not in self.content[:4]
            return json_text.parse(self.content if is_ascii else self.text)
        except json_text.JsonRefused as error:
            raise BodyMalformed(f"Content-Type is JSON, but the body is not: {error.message}.") from None

    @cached_attribute
    def properties(self) -> Any:
        """What paths below the body look into: the JSON value, the form's fields, else None.

        :raises BodyMalformed: see :attr:`value` and :func:`inbound_webhooks.event.forms.form_fields`
        """
        if self.is_json:
            return self.value
        if self._type == "application/x-www-form-urlencoded":
            return MultiDict(form_fields(self.content, self._parameters))
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
