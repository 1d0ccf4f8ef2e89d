"""Declares the fields of a webhook; command line, form, REST, files and storage derive from them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

Kind = Literal["text", "integer", "boolean", "list", "objects", "mapping"]
"""A text, a number, a switch, a list of texts, a list of JSON objects, or an object of texts."""

Choices = Callable[[], Mapping[Any, str]]
"""Returns allowed value -> label; a function, so that declarations import neither presets nor schemes."""

SECTIONS = {
    "details": "Details",
    "sender": "Sender",
    "mapping": "Parameters",
    "run": "Run",
    "filter": "Filter",
    "routes": "Routes and waits",
    "grouping": "Batches and order",
    "response": "Response",
    "notifications": "Notifications",
    "limits": "Limits",
}
"""The sections of a webhook's page, in order: identifier -> title."""

WEBHOOK_NAME_CHARS = 200
DAG_ID_CHARS = 250
OWNER_CHARS = 250
TASK_ID_CHARS = 250
ASSET_CHARS = 1_500
"""The longest name or URI of an asset in Airflow."""

MAX_LIMIT = 1_000_000
"""Far more than one webhook can handle, and far less than the columns can store."""

REQUIRED = object()
"""Marks a field without a default."""

_DECLARED = "webhook_field"


@dataclass(frozen=True, kw_only=True)
class WebhookField:
    """One field of a webhook.

    Everywhere: ``label`` is its name in the form, ``help`` describes it in one sentence.
    Command line: ``flag`` is its option of ``create``, or a bare name if it is positional; the flag of a
    boolean inverts its default. ``separator`` stands between name and value of a mapping, in a text with a
    line for each; without one, the form has a table for it. ``flag_help`` replaces ``help``; ``from_file``
    accepts ``@FILE`` as a value.
    ``listed`` fields are in listings.
    Form: ``section`` is a key of :data:`SECTIONS`; ``hint`` replaces ``help``; ``rows`` is the height of a
    text area; ``wide`` fields fill a row; ``folded`` ones are collapsed at first; ``is_code`` uses a
    monospace font; ``completes`` suggests fields of past requests, ``suggests_users`` Airflow's
    users; the help shows ``example``.
    Limits: ``choices``, or ``minimum`` and ``maximum``, or ``max_chars`` and ``one_line``.
    ``filled_by_preset``: presets have a field with the same name.
    ``blank``: the empty text stands for no value; JSON has null for it.
    ``name``, ``kind``, ``nullable`` and ``default`` (or REQUIRED) come from the dataclass.
    """

    label: str
    help: str
    flag: str
    section: str
    flag_help: str = ""
    metavar: str = ""
    separator: str = ""
    from_file: bool = False
    listed: bool = False
    hint: str = ""
    rows: int = 0
    wide: bool = False
    folded: bool = False
    is_code: bool = False
    completes: bool = False
    example: str = ""
    suggests_users: bool = False
    choices: Choices | None = None
    minimum: int | None = None
    maximum: int | None = None
    max_chars: int | None = None
    one_line: bool = False
    filled_by_preset: bool = False
    blank: bool = False
    name: str = ""
    kind: Kind = "text"
    nullable: bool = False
    default: Any = REQUIRED

    @property
    def required(self) -> bool:
        """Whether there is no default."""
        return self.default is REQUIRED

    @property
    def is_table(self) -> bool:
        """Whether the form has a table for it instead of a box."""
        return self.kind == "mapping" and not self.separator

    @property
    def is_json(self) -> bool:
        """Whether its column stores JSON text."""
        return self.kind in ("list", "objects", "mapping")

    def problem(self, value: Any) -> str | None:
        """The message for a value outside the limits, None for a valid one; the type is right already."""
        if value is None:
            return None
        if self.choices is not None:
            allowed = [str(choice) for choice in self.choices() if choice is not None]
            return None if str(value) in allowed else f"{value!r} is not one of {', '.join(allowed)}"
        if self.kind == "integer":
            return self._number_problem(value)
        return self._text_problem(value) if self.kind == "text" else None

    def _number_problem(self, value: int) -> str | None:
        if self.minimum is None or self.maximum is None or self.minimum <= value <= self.maximum:
            return None
        return f"it is not between {self.minimum} and {self.maximum}"

    def _text_problem(self, value: str) -> str | None:
        if self.required and not value.strip():
            return "it is empty"
        if self.one_line and not value.isprintable():
            return "it contains characters that cannot be printed"
        if self.max_chars is not None and len(value) > self.max_chars:
            return f"it is longer than {self.max_chars} characters"
        return None


def declared(**declaration: Any) -> Mapping[str, WebhookField]:
    """The metadata that declares a dataclass field as a :class:`WebhookField`."""
    return {_DECLARED: WebhookField(**declaration)}


def fields_of(record_type: type[Any]) -> dict[str, WebhookField]:
    """The declared fields of a dataclass by name, in order of declaration."""
    hints = get_type_hints(record_type)
    return {
        field.name: dataclasses.replace(
            field.metadata[_DECLARED],
            name=field.name,
            kind=_kind(hints[field.name]),
            nullable=field.metadata[_DECLARED].blank or NoneType in get_args(hints[field.name]),
            default=_default(field),
        )
        for field in dataclasses.fields(record_type)
    }


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not MISSING:
        return field.default_factory()
    return REQUIRED if field.default is MISSING else field.default


def _kind(hint: Any) -> Kind:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is UnionType:
        return _kind(next(option for option in arguments if option is not NoneType))
    if origin is Sequence:
        return "objects" if get_origin(arguments[0]) is Mapping else "list"
    if origin is Mapping:
        return "mapping"
    return _KINDS[hint]


_KINDS: Mapping[type, Kind] = {str: "text", int: "integer", bool: "boolean"}


def json_value(value: Any) -> Any:
    """A field's value as a JSON value: mappings become dicts, sequences lists."""
    if isinstance(value, Mapping):
        return {name: json_value(item) for name, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [json_value(item) for item in value]
    return value
