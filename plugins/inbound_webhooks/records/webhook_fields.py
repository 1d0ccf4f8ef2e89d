"""How a field of a webhook is declared; command line, form, REST, files and storage derive from it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

Kind = Literal["text", "integer", "boolean", "list", "objects", "mapping"]
"""A text, a number, a switch, a list of texts, a list of JSON objects, or an object of texts."""

Choices = Callable[[], Mapping[Any, str]]
"""Gives allowed value -> label. A function, so that declaring a field imports neither presets nor schemes."""

SECTIONS = {
    "details": "Details",
    "sender": "Sender",
    "mapping": "Parameters",
    "filter": "Filter",
    "response": "Response",
    "notifications": "Notifications",
    "limits": "Limits",
}
"""The sections of a webhook's page, in order: identifier -> title."""

WEBHOOK_NAME_CHARS = 200
DAG_ID_CHARS = 250
MAX_LIMIT = 1_000_000
"""Far above what one webhook can take, and far below what the columns hold."""

REQUIRED = object()
"""Stands for the default of a field that every webhook has to be given."""

_DECLARED = "webhook_field"


@dataclass(frozen=True, kw_only=True)
class WebhookField:
    """One field of a webhook.

    Everywhere: ``label`` names it beside its box, ``help`` says in one sentence what it does.
    Command line: ``flag`` is its option of ``create``, or a bare name where it is positional, and of a switch
    turns its default over; ``flag_help`` takes the place of ``help``; ``from_file`` lets the value be
    ``@FILE``. ``listed``: listings show it.
    Form: ``section`` is a key of :data:`SECTIONS`; ``hint`` takes the place of ``help`` where a box needs
    other words; ``rows`` makes a text a box of several lines; ``wide`` gives it a row of its own; ``folded``
    shows it on demand only; ``is_code`` sets it in monospace; ``completes`` offers fields of past requests.
    Limits: ``choices``, or ``minimum`` and ``maximum``, or ``max_chars`` and ``one_line``.
    ``filled_by_preset``: a preset has a value under the same name.
    ``name``, ``kind``, ``nullable`` and ``default`` (REQUIRED where there is none) come from the dataclass.
    """

    label: str
    help: str
    flag: str
    section: str
    flag_help: str = ""
    metavar: str = ""
    from_file: bool = False
    listed: bool = False
    hint: str = ""
    rows: int = 0
    wide: bool = False
    folded: bool = False
    is_code: bool = False
    completes: bool = False
    placeholder: str = ""
    choices: Choices | None = None
    minimum: int | None = None
    maximum: int | None = None
    max_chars: int | None = None
    one_line: bool = False
    filled_by_preset: bool = False
    name: str = ""
    kind: Kind = "text"
    nullable: bool = False
    default: Any = REQUIRED

    @property
    def required(self) -> bool:
        """Whether every webhook has to be given one."""
        return self.default is REQUIRED

    @property
    def is_json(self) -> bool:
        """Whether its column holds JSON text."""
        return self.kind in ("list", "objects", "mapping")

    def problem(self, value: Any) -> str | None:
        """Why a value of the right type is outside the limits, None where it is not."""
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
            return "it has characters that cannot be printed"
        if self.max_chars is not None and len(value) > self.max_chars:
            return f"it is longer than {self.max_chars} characters"
        return None


def declared(**declaration: Any) -> Mapping[str, WebhookField]:
    """The metadata of a dataclass's field that is a field of a webhook; see :class:`WebhookField`."""
    return {_DECLARED: WebhookField(**declaration)}


def fields_of(made_of: type[Any]) -> dict[str, WebhookField]:
    """The declared fields of a dataclass by name, in their order."""
    hints = get_type_hints(made_of)
    return {
        field.name: dataclasses.replace(
            field.metadata[_DECLARED],
            name=field.name,
            kind=_kind(hints[field.name]),
            nullable=NoneType in get_args(hints[field.name]),
            default=_default(field),
        )
        for field in dataclasses.fields(made_of)
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
    """A field's value as JSON has it: objects as dict, sequences as list."""
    if isinstance(value, Mapping):
        return {name: json_value(item) for name, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [json_value(item) for item in value]
    return value
