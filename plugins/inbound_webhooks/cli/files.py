"""``airflow webhooks import`` and ``export``: definition files."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inbound_webhooks.cli.console import (
    FAILED,
    WRONG_CALL,
    actor,
    confirm,
    exit_with,
    handler,
    print_data,
    print_hint,
    print_text,
)

if TYPE_CHECKING:
    from argparse import Namespace

    from inbound_webhooks.files.entry import Entry
    from inbound_webhooks.files.plan import Step

SIGNS = {"create": "+", "change": "~", "keep": "=", "delete": "-"}
COUNTED = {"create": "new", "change": "changed", "keep": "unchanged", "delete": "deleted"}


@handler
def import_command(args: Namespace) -> None:
    """Create and change webhooks to match files; with ``--prune``, delete webhooks that no file names."""
    from inbound_webhooks.files import plan

    entries = _entries([Path(path) for path in args.paths])
    if args.prune and not entries:
        exit_with(WRONG_CALL, "These files define no webhook, so --prune would delete all webhooks.")
    steps = plan.plan(entries, prune=args.prune)
    _print_steps(steps, args.output, dry_run=args.dry_run)
    if args.dry_run:
        return
    gone = [step.name for step in steps if step.action == "delete"]
    if gone and not args.yes and not confirm(f"Delete {', '.join(gone)} with their URLs and secrets?"):
        exit_with(FAILED, "Nothing was changed.")
    plan.apply(steps, actor=actor())
    if any(step.action == "create" for step in steps):
        print_hint("`airflow webhooks url NAME` prints the URL of a new webhook.")
    for step in steps:
        for problem in step.hints:
            print_hint(f"{step.name}: {problem.message}")


def _entries(paths: list[Path]) -> list[Entry]:
    from inbound_webhooks.errors import FilesRefused
    from inbound_webhooks.files.plan import problems_of
    from inbound_webhooks.files.reading import read_files

    found = read_files(paths)
    for skipped in found.skipped:
        print_hint(f"Skipped {skipped}: no line begins with `webhooks:`.")
    problems = found.problems + [
        problem for entry in found.entries for problem in problems_of(entry, alone=False)
    ]
    if problems:
        raise FilesRefused([str(problem) for problem in problems])
    return found.entries


def _print_steps(steps: Sequence[Step], output: str, *, dry_run: bool) -> None:
    if output in ("json", "yaml"):
        print_data([_as_data(step) for step in steps], output)
        return
    from inbound_webhooks.event.differences import ABSENT

    lines: list[str] = []
    for step in steps:
        if step.action != "keep":
            lines.append(f"{SIGNS[step.action]} {step.name}{step.target and f' ({step.target})'}")
            for one in step.differences:
                before = "" if one.before is ABSENT else f"{_shown(one.before)} → "
                lines.append(f"    {one.field}: {before}{_shown(one.after)}")
    counts: Counter[str] = Counter(step.action for step in steps)
    summary = ", ".join(f"{counts[action]} {word}" for action, word in COUNTED.items() if counts[action])
    lines.append(f"{summary or 'No webhooks'}.{' Nothing was written.' if dry_run else ''}")
    print_text("\n".join(lines))


def _shown(value: Any) -> str:
    from inbound_webhooks.event.differences import ABSENT

    return "nothing" if value is ABSENT or value is None else json.dumps(value, ensure_ascii=False)


def _as_data(step: Step) -> dict[str, Any]:
    from inbound_webhooks.event.differences import ABSENT

    return {
        "action": step.action,
        "name": step.name,
        "dag_id": step.dag_id or None,
        "file": step.file,
        "differences": [
            {
                "field": one.field,
                **({} if one.before is ABSENT else {"before": one.before}),
                **({} if one.after is ABSENT else {"after": one.after}),
            }
            for one in step.differences
        ],
    }


@handler
def export_command(args: Namespace) -> None:
    """Print webhooks as a definition file, and nothing else."""
    from inbound_webhooks.files.exporting import exported, file_text
    from inbound_webhooks.storage.database import transaction
    from inbound_webhooks.storage.webhooks import list_webhooks
    from inbound_webhooks.webhooks import service

    if args.names:
        webhooks = [service.get(name) for name in dict.fromkeys(args.names)]
    else:
        with transaction() as connection:
            webhooks = list_webhooks(connection)
    # Definition files are UTF-8, whatever the terminal's encoding.
    print_text(file_text(exported(webhooks, with_secrets=args.with_secrets)), encoding="utf-8")
