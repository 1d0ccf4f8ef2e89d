"""Events as data: a sender's sample event, and a request as text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

JSON_TYPE = "application/json"
FORM_TYPE = "application/x-www-form-urlencoded"


@dataclass(frozen=True, kw_only=True)
class SampleEvent:
    """An event as a sender sends it, without what its signature adds.

    ``body`` is a JSON value, or the fields of a form where ``content_type`` says so; a text of another type
    is the JSON text of it.
    """

    body: Any = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    content_type: str = JSON_TYPE


@dataclass(frozen=True)
class SampleRequest:
    """A request as a user can edit it: text, pairs and a query string."""

    body: str
    headers: tuple[tuple[str, str], ...] = ()
    query_string: str = ""
    method: str = "POST"
