"""Is anything wrong with definition files, held against DAG files, or with what is stored?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from inbound_webhooks.errors import Problem
from inbound_webhooks.event.conf.parameter import Parameter
from inbound_webhooks.files.dag_files import parse_dags
from inbound_webhooks.files.entry import Entry
from inbound_webhooks.files.plan import problems_of, webhook_of
from inbound_webhooks.files.reading import read_files
from inbound_webhooks.files.references import PLAIN
from inbound_webhooks.storage.database import transaction
from inbound_webhooks.storage.webhooks import list_webhooks
from inbound_webhooks.webhooks import readiness

MEANT = ("disabled",)
"""Reasons that stop a webhook because somebody wants it so."""


@dataclass(frozen=True)
class Checked:
    """What a check has found; ``dags`` is None where no DAG files were looked at."""

    webhooks: int
    dags: int | None
    findings: tuple[Problem, ...]
    skipped: tuple[Path, ...] = ()

    @property
    def wrong(self) -> int:
        """How much is wrong."""
        return sum(is_wrong(problem) for problem in self.findings)


def is_wrong(problem: Problem) -> bool:
    """Whether something that was found has to be fixed; otherwise it is only worth knowing."""
    return problem.stops and problem.code not in MEANT


def check_files(paths: Sequence[Path], dags_folder: Path | None) -> Checked:
    """Check definition files, and their mappings where DAG files are: in a folder, or beside them."""
    found = read_files(paths)
    folders = [dags_folder] if dags_folder else [path for path in paths if path.is_dir()]
    parsed = parse_dags(folders)
    findings = [*parsed.problems, *found.problems]
    for entry in found.entries:
        problems = problems_of(entry, alone=True) + _plain_secrets(entry)
        findings += problems
        if folders and not problems:
            findings += _mapping(entry, parsed.params)
    dags = len(parsed.params) if folders else None
    return Checked(len(found.entries), dags, tuple(findings), tuple(found.skipped))


def _plain_secrets(entry: Entry) -> list[Problem]:
    return [
        entry.problem_at("secrets", "the secret itself stands in the file", purpose)
        for purpose, reference in entry.secrets.items()
        if reference.startswith(PLAIN)
    ]


def _mapping(entry: Entry, dags: Mapping[str, Mapping[str, Parameter]]) -> list[Problem]:
    webhook = webhook_of(entry.draft())
    if webhook.dag_id not in dags:
        return [entry.problem_at("dag_id", f"no DAG file makes a DAG {webhook.dag_id!r}")]
    reasons = readiness.mapping_reasons(webhook, dags[webhook.dag_id])
    # The sentence names the parameter already.
    return [entry.placed(replace(reason, part="")) for reason in reasons]


def check_stored() -> Checked:
    """Check every stored webhook: would it fire?"""
    with transaction() as connection:
        webhooks = list_webhooks(connection)
    reasons = readiness.reasons_by_id(webhooks)
    findings = [
        replace(reason, field="", part="", webhook=webhook.name)
        for webhook in webhooks
        for reason in reasons[webhook.id]
    ]
    return Checked(len(webhooks), None, tuple(findings))
