"""Texts that look like a path without its braces: ``body.customer.name`` would become a constant."""

from __future__ import annotations

import re

from inbound_webhooks.event.expressions.syntax import ITEM_SOURCES, SOURCES

MAX_CHARS = 500

_NAMED = SOURCES | ITEM_SOURCES
_STEPS = r"""(?:\.[\w-]+|\[[0-9]{1,9}\]|\["[^"\\\n]+"\]|\['[^'\\\n]+'\])+"""
_PATH = re.compile(rf"\{{?\s*(?:Webhook::)?({'|'.join(_NAMED)})({_STEPS})\s*\}}?", re.IGNORECASE | re.ASCII)
_FILTERED = re.compile(rf"({'|'.join(_NAMED.values())}){_STEPS}(?:\s*\|\s*\w+(?:\([^(){{}}]*\))?)+", re.ASCII)
_NAMES = {name.lower(): name for name in _NAMED}


def expression_meant(text: str) -> str | None:
    """The expression that a text was probably meant to be; None for an expression, and for any other text.

    A text is compared as a whole: ``body.id`` is taken for a path, ``the body.id`` for a text.
    """
    stripped = text.strip()
    if len(stripped) > MAX_CHARS:
        return None
    if match := _PATH.fullmatch(stripped):
        return f"${{Webhook::{_NAMES[match.group(1).lower()]}{match.group(2)}}}"
    return f"{{{{ {stripped} }}}}" if _FILTERED.fullmatch(stripped) else None
