"""One webhook as a definition file has it, and where in the file it stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from inbound_webhooks.errors import DefinitionError, Problem
from inbound_webhooks.records.webhook import Draft
from inbound_webhooks.webhooks import service


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

    def problem(self, error: DefinitionError) -> Problem:
        """What an error about this webhook says, with its place."""
        return self.placed(error.problem)

    def problem_at(self, field: str, message: str, part: str = "") -> Problem:
        """Something wrong with a field."""
        return self.placed(Problem(message, field, part))

    def placed(self, problem: Problem) -> Problem:
        """A problem of this webhook with file, line and name."""
        line = self.lines.get(problem.place) or self.lines.get(problem.field) or self.line
        return replace(
            problem,
            file=self.file,
            line=line,
            webhook=_printable(self.name) or "a webhook without a name",
            field=_printable(problem.field),
            part=_printable(problem.part),
        )


def _printable(text: str) -> str:
    # An escape of YAML can make half of a surrogate pair, which no terminal takes.
    return text.encode("utf-8", "backslashreplace").decode()
