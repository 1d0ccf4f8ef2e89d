"""Checks definition files against DAG files, or the stored webhooks."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from inbound_webhooks.airflow_bridge.dag_files import parse_dags
from inbound_webhooks.airflow_bridge.fab_roles import configured_auth_manager, has_roles
from inbound_webhooks.deliveries.store.factory import open_store
from inbound_webhooks.errors import Problem
from inbound_webhooks.event.conf.parameter import Parameter
from inbound_webhooks.files.entry import Entry
from inbound_webhooks.files.plan import problems_of, webhook_of
from inbound_webhooks.files.reading import read_files
from inbound_webhooks.files.references import EXPECTED, PLAIN
from inbound_webhooks.storage.database import transaction
from inbound_webhooks.storage.encryption import check_key
from inbound_webhooks.storage.webhooks import list_webhooks
from inbound_webhooks.webhooks import readiness
from inbound_webhooks.webhooks.roles import role_problems

INTENDED = ("disabled", "held", "releasing", "outside-hours")
"""Codes of problems that a user has caused on purpose."""


@dataclass(frozen=True)
class Checked:
    """The result of a check; ``dags`` is None if no DAG files were parsed."""

    webhooks: int
    dags: int | None
    findings: tuple[Problem, ...]
    skipped: tuple[Path, ...] = ()

    @property
    def wrong(self) -> int:
        """The number of problems to fix."""
        return sum(is_wrong(problem) for problem in self.findings)


def is_wrong(problem: Problem) -> bool:
    """Whether a problem must be fixed; otherwise it is only a note."""
    return problem.stops and problem.code not in INTENDED


def check_files(paths: Sequence[Path], dags_folder: Path | None) -> Checked:
    """Check definition files, and their mappings against the DAG files in a folder or next to them."""
    found = read_files(paths)
    folders = [dags_folder] if dags_folder else [path for path in paths if path.is_dir()]
    parsed = parse_dags(folders)
    findings = [*parsed.problems, *found.problems]
    for entry in found.entries:
        problems = problems_of(entry, alone=True) + _plain_secrets(entry)
        findings += problems
        if folders and not any(map(is_wrong, problems)):
            findings += _mapping(entry, parsed.params)
    dags = len(parsed.params) if folders else None
    return Checked(len(found.entries), dags, tuple(findings), tuple(found.skipped))


def _plain_secrets(entry: Entry) -> list[Problem]:
    return [
        entry.problem_at(
            "secrets",
            f"the file contains the secret itself; {EXPECTED}",
            purpose,
        )
        for purpose, reference in entry.secrets.items()
        if reference.startswith(PLAIN)
    ]


def _mapping(entry: Entry, dags: Mapping[str, Mapping[str, Parameter]]) -> list[Problem]:
    webhook = webhook_of(entry.draft())
    if not webhook.dag_id:
        return []
    if webhook.dag_id not in dags:
        return [entry.problem_at("dag_id", f"no DAG file defines the DAG {webhook.dag_id!r}")]
    reasons = readiness.mapping_reasons(webhook, dags[webhook.dag_id])
    # The message already names the parameter.
    return [entry.placed(replace(reason, part="")) for reason in reasons]


def check_stored() -> Checked:
    """Check whether the endpoint works, and whether each stored webhook can start runs.

    :raises DatabaseUnavailable: the endpoint cannot use the database; its message says why
    :raises FernetKeyMalformed: no token can be decrypted
    """
    check_key()
    asyncio.run(_look_at_environment())
    with transaction() as connection:
        webhooks = list_webhooks(connection)
        environment = readiness.environment_problems(connection)
        of_roles = role_problems(connection) if has_roles(configured_auth_manager()) else []
    reasons = readiness.reasons_by_id(webhooks)
    findings = [
        replace(reason, field="", part="", webhook=webhook.name)
        for webhook in webhooks
        for reason in reasons[webhook.id]
        if reason not in environment
    ]
    return Checked(len(webhooks), None, (*environment, *of_roles, *findings))


async def _look_at_environment() -> None:
    """Ask the database the way the endpoint does; what is wrong ends up in the environment's problems."""
    store = open_store()
    try:
        await store.status()
    finally:
        await store.close()
