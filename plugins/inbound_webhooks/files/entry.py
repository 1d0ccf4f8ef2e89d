"""One webhook as a definition file has it, and where in the file it stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from inbound_webhooks.errors import DefinitionError, InvalidDefinition
from inbound_webhooks.records.webhook import Draft
from inbound_webhooks.webhooks import service

FIELD_OF_ERROR = {
    "dag id": "dag_id",
    "event type": "event_type",
    "allowed addresses": "allowed_addresses",
    "requests per second": "max_per_second",
    "max backlog": "max_backlog",
    "max active runs": "max_active_runs",
    "disabled status": "disabled_status",
    "invalid status": "invalid_status",
    "response status": "response_status",
    "response content type": "response_content_type",
    "response template": "response_template",
    "notify on success": "notify_success",
    "notify on failure": "notify_failure",
    "secret": "secrets",
}
"""What an error calls a field -> what a file calls it; others have the same name in both."""


@dataclass(frozen=True)
class FileProblem:
    """Something wrong in a file; ``line`` counts from 1, 0 where no line is to blame."""

    file: str
    line: int
    webhook: str
    field: str
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return ": ".join(part for part in (place, self.webhook, self.field, self.message) if part)


@dataclass(frozen=True)
class Entry:
    """One webhook of a file: its fields as they stand there, and secrets as purpose -> reference.

    ``lines`` says on which line a field stands.
    """

    file: str
    line: int
    fields: Mapping[str, Any]
    secrets: Mapping[str, str] = field(default_factory=dict)
    lines: Mapping[str, int] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The webhook's name."""
        return str(self.fields.get("name", ""))

    def draft(self) -> Draft:
        """The draft that it says, with its preset's settings wherever it says nothing.

        :raises InvalidDefinition: there is no such preset
        """
        fields = dict(self.fields)
        return service.drafted(preset=fields.pop("preset", None), purposes=set(self.secrets), **fields)

    def problem(self, error: DefinitionError) -> FileProblem:
        """What an error about this webhook says, with its place."""
        if not isinstance(error, InvalidDefinition):
            return self.problem_at("", error.message)
        return self.problem_at(*place_of(error))

    def problem_at(self, field: str, message: str) -> FileProblem:
        """Something wrong with a field."""
        line = self.lines.get(field) or self.lines.get(field.partition(".")[0]) or self.line
        return FileProblem(
            self.file, line, _printable(self.name) or "a webhook without a name", _printable(field), message
        )


def place_of(error: InvalidDefinition) -> tuple[str, str]:
    """The field that an error is about as a file calls it, such as ``mapping.number``, and what is wrong."""
    reason = error.message.partition(": ")[2]
    if error.field.startswith("mapping of "):
        return f"mapping.{error.field.removeprefix('mapping of ')}", reason
    if error.field.startswith("verification"):
        return "verification", error.message
    return FIELD_OF_ERROR.get(error.field, error.field), reason


def _printable(text: str) -> str:
    # An escape of YAML can make half of a surrogate pair, which no terminal takes.
    return text.encode("utf-8", "backslashreplace").decode()
