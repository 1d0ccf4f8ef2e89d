"""``airflow webhooks check``: prints each problem on a line and exits with 1 for CI if there is an error."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from inbound_webhooks.cli.console import (
    FAILED,
    WRONG_CALL,
    exit_with,
    handler,
    print_data,
    print_hint,
    print_text,
)

if TYPE_CHECKING:
    from argparse import Namespace

    from inbound_webhooks.errors import Problem
    from inbound_webhooks.files.checking import Checked


@handler
def check_command(args: Namespace) -> None:
    """Check definition files, or without any the stored webhooks."""
    from inbound_webhooks.files.checking import check_files, check_stored

    if args.dags_folder and not args.paths:
        exit_with(WRONG_CALL, "--dags-folder needs definition files: name them as arguments.")
    if args.paths:
        folder = Path(args.dags_folder) if args.dags_folder else None
        checked = check_files([Path(path) for path in args.paths], folder)
    else:
        checked = check_stored()
    _print(checked, args.output)
    if args.paths and checked.dags is None:
        print_hint("The mappings were not checked. Pass the folder of the DAG files with --dags-folder.")
    if checked.wrong:
        raise SystemExit(FAILED)


def _print(checked: Checked, output: str) -> None:
    for skipped in checked.skipped:
        print_hint(f"Skipped {skipped}: no line begins with `webhooks:`.")
    if output in ("json", "yaml"):
        findings = [
            {
                "severity": _severity(problem),
                "file": problem.file,
                "line": problem.line,
                "webhook": problem.webhook,
                "field": problem.place,
                "message": problem.message,
            }
            for problem in checked.findings
        ]
        print_data(findings, output)
        return
    lines = [f"{_severity(problem):<5}  {problem}" for problem in checked.findings]
    against = "" if checked.dags is None else f" against {_count(checked.dags, 'DAG')}"
    lines.append(f"Checked {_count(checked.webhooks, 'webhook')}{against}: {_count(checked.wrong, 'error')}.")
    print_text("\n".join(lines))


def _count(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"


def _severity(problem: Problem) -> str:
    from inbound_webhooks.files.checking import is_wrong

    return "error" if is_wrong(problem) else "note"
