"""The fields of a form, decoded by the charset that the request declares."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import parse_qsl

from inbound_webhooks.errors import BodyMalformed
from inbound_webhooks.event import charsets

MAX_FORM_FIELDS = 10_000

Fields = list[tuple[str, str]]

# Bytes that mean the same in every charset that agrees with ASCII.
_PLAIN = re.compile(r"[\t\n\r\x20-\x7e]*")


def form_fields(content: bytes, parameters: str) -> Fields:
    """Parse ``application/x-www-form-urlencoded``, percent-encoded or with bytes as they are.

    The charset is that of the Content-Type, whose ``parameters`` these are; else that of the field
    ``_charset_`` (https://html.spec.whatwg.org/#attr-fe-name-charset) or ``charset``, as PayPal sends it
    (https://developer.paypal.com/api/nvp-soap/ipn/); else UTF-8.

    :raises BodyMalformed: it has too many fields, an unknown charset, or bytes that are not valid in it
    """
    try:
        # As Latin-1, each character is the byte that was sent: the charset may be one of the fields.
        sent = parse_qsl(
            content.decode("latin-1"),
            keep_blank_values=True,
            max_num_fields=MAX_FORM_FIELDS,
            encoding="latin-1",
        )
    except ValueError:
        raise BodyMalformed(f"The form has more than {MAX_FORM_FIELDS} fields.") from None
    label = charsets.parameter(parameters) or _value(sent, "_charset_")
    if not label:
        label = _value(sent, "charset")
        if all(_PLAIN.fullmatch(part) for field in sent for part in field):
            return sent  # any other field may be called charset too, and here nothing depends on it
    codec = charsets.codec(label, in_form=True).removesuffix("-sig")
    return [
        (_decoded(name, codec, number), _decoded(value, codec, number))
        for number, (name, value) in enumerate(sent, 1)
    ]


def _value(fields: Iterable[tuple[str, str]], wanted: str) -> str:
    return next((value for name, value in fields if name == wanted and value), "")


def _decoded(text: str, codec: str, number: int) -> str:
    if text.isascii():
        return text
    return charsets.decode(text.encode("latin-1"), codec, f"Field {number} of the form")
