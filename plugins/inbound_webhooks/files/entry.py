"""One webhook in a definition file, and its position in the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from inbound_webhooks.errors import DefinitionError, Problem
from inbound_webhooks.records.webhook import Draft
from inbound_webhooks.webhooks import service


@dataclass(frozen=True)
class Entry:
    """One webhook in a file: its fields, and secrets as purpose -> reference.

    ``lines`` is field -> line.
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
        """The draft that it defines; its preset fills in the fields that it leaves out.

        :raises InvalidDefinition: there is no such preset
        """
        fields = dict(self.fields)
        return service.drafted(preset=fields.pop("preset", None), purposes=set(self.secrets), **fields)

    def problem(self, error: DefinitionError) -> Problem:
        """The problem that an error reports, with its position."""
        return self.placed(error.problem)

    def problem_at(self, field: str, message: str, part: str = "") -> Problem:
        """A problem with a field, with its position."""
        return self.placed(Problem(message, field, part))

    def placed(self, problem: Problem) -> Problem:
        """A problem with this webhook's file, line and name added."""
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
    # A YAML escape can produce a lone surrogate, which terminals cannot print.
    return text.encode("utf-8", "backslashreplace").decode()
