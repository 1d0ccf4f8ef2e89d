"""Is anything wrong with definition files, held against DAG files, or with what is stored?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from inbound_webhooks.event.conf.parameter import Parameter
from inbound_webhooks.files.dag_files import parse_dags
from inbound_webhooks.files.entry import Entry, FileProblem
from inbound_webhooks.files.plan import problems_of, webhook_of
from inbound_webhooks.files.reading import read_files
from inbound_webhooks.files.references import PLAIN
from inbound_webhooks.storage.database import transaction
from inbound_webhooks.storage.webhooks import list_webhooks
from inbound_webhooks.webhooks import readiness

MEANT = ("disabled",)
"""Reasons that stop a webhook because somebody wants it so."""

Finding = tuple[FileProblem, bool]
"""Something that was found, and whether it is wrong or only worth knowing."""


@dataclass(frozen=True)
class Checked:
    """What a check has found; ``dags`` is None where no DAG files were looked at."""

    webhooks: int
    dags: int | None
    findings: tuple[Finding, ...]
    skipped: tuple[Path, ...] = ()

    @property
    def wrong(self) -> int:
        """How much is wrong."""
        return sum(is_wrong for _, is_wrong in self.findings)


def check_files(paths: Sequence[Path], dags_folder: Path | None) -> Checked:
    """Check definition files, and their mappings where DAG files are: in a folder, or beside them."""
    found = read_files(paths)
    folders = [dags_folder] if dags_folder else [path for path in paths if path.is_dir()]
    parsed = parse_dags(folders)
    findings: list[Finding] = [(problem, True) for problem in [*parsed.problems, *found.problems]]
    for entry in found.entries:
        problems = problems_of(entry, alone=True) + _plain_secrets(entry)
        findings += [(problem, True) for problem in problems]
        if folders and not problems:
            findings += _mapping(entry, parsed.params)
    dags = len(parsed.params) if folders else None
    return Checked(len(found.entries), dags, tuple(findings), tuple(found.skipped))


def _plain_secrets(entry: Entry) -> list[FileProblem]:
    return [
        entry.problem_at(f"secrets.{purpose}", "the secret itself stands in the file")
        for purpose, reference in entry.secrets.items()
        if reference.startswith(PLAIN)
    ]


def _mapping(entry: Entry, dags: Mapping[str, Mapping[str, Parameter]]) -> list[Finding]:
    webhook = webhook_of(entry.draft())
    if webhook.dag_id not in dags:
        return [(entry.problem_at("dag_id", f"no DAG file makes a DAG {webhook.dag_id!r}"), True)]
    reasons = readiness.mapping_reasons(webhook, dags[webhook.dag_id])
    return [(entry.problem_at("mapping", one.sentence), one.severity == "stops") for one in reasons]


def check_stored() -> Checked:
    """Check every stored webhook: would it fire?"""
    with transaction() as connection:
        webhooks = list_webhooks(connection)
    reasons = readiness.reasons_by_id(webhooks)
    findings = [
        (
            FileProblem("", 0, webhook.name, "", one.sentence),
            one.severity == "stops" and one.code not in MEANT,
        )
        for webhook in webhooks
        for one in reasons[webhook.id]
    ]
    return Checked(len(webhooks), None, tuple(findings))
