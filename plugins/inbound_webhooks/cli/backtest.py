"""Prints the back-test of ``airflow webhooks try NAME --against-last N``."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inbound_webhooks.cli.console import WRONG_CALL, exit_with, print_data, print_text

if TYPE_CHECKING:
    from argparse import Namespace

    from inbound_webhooks.deliveries.backtest import BackTest, JudgedDelivery
    from inbound_webhooks.records.webhook import Webhook

MAX_VALUE_CHARS = 60
TERSE_FIELDS = ("response", "dedup_key")
"""Fields whose values are too long for a table, which says only that they change."""


def try_against_last(args: Namespace) -> None:
    """Print how a changed webhook would treat its last deliveries."""
    from inbound_webhooks.deliveries.backtest import MAX_DELIVERIES, as_data, back_test
    from inbound_webhooks.receiver.instance import get_receiver
    from inbound_webhooks.webhooks import service

    if not 1 <= args.against_last <= MAX_DELIVERIES:
        exit_with(WRONG_CALL, f"--against-last must be between 1 and {MAX_DELIVERIES}.")
    webhook = service.get(args.name)
    changed = _changed(webhook, args.file) if args.file else webhook
    test = back_test(get_receiver(), webhook, changed, limit=args.against_last)
    if args.output in ("json", "yaml"):
        print_data(as_data(test), args.output)
        return
    rows = [_row(one) for one in test.judged if one.changes or one.note]
    if rows:
        print_data(rows, args.output)
    print_text(summary(test))


def _changed(webhook: Webhook, path: str) -> Webhook:
    """The webhook as a definition file describes it: the entry with its name, or the only entry."""
    from inbound_webhooks.errors import DefinitionError, FilesRefused
    from inbound_webhooks.files.plan import webhook_of
    from inbound_webhooks.files.reading import read_files
    from inbound_webhooks.webhooks import service

    found = read_files([Path(path)])
    if found.problems:
        raise FilesRefused([str(problem) for problem in found.problems])
    named = [entry for entry in found.entries if entry.name == webhook.name] or found.entries
    if len(named) != 1:
        exit_with(WRONG_CALL, f"{path} has no webhook named {webhook.name!r}.")
    try:
        draft = named[0].draft()
        changed = replace(webhook_of(draft, webhook), team=service.team_of(draft))
        service.check(changed)
    except DefinitionError as error:
        raise FilesRefused([str(named[0].problem(error))]) from error
    return changed


def summary(test: BackTest) -> str:
    """One line: the number of deliveries that would change, and their transitions."""
    count = len(test.judged)
    if not count:
        return "There are no deliveries to judge yet."
    would = (
        f"{len(test.changed)} of the last {count} deliveries would change"
        if count > 1
        else ("The last delivery would change" if test.changed else "The last delivery would not change")
    )
    moves = [f"{number} {before} → {after}" for (before, after), number in test.moves.items()]
    missing = f" {len(test.not_judged)} could not be judged." if test.not_judged else ""
    return f"{would}{': ' if moves else ''}{', '.join(moves)}.{missing} Nothing was stored or run."


def _row(one: JudgedDelivery) -> dict[str, Any]:
    before, after = (outcome.state if outcome else "" for outcome in (one.before, one.after))
    return {
        "delivery": one.delivery_id,
        "received": one.received_at.isoformat(sep=" ", timespec="seconds"),
        "state": before if before == after else f"{before} → {after}",
        "changes": one.note or "\n".join(_lines(one)),
    }


def _lines(one: JudgedDelivery) -> list[str]:
    lines = []
    for change in one.changes:
        if change.field in TERSE_FIELDS:
            lines.append(
                f"{change.field}: changed" if change.after is not None else f"{change.field}: removed"
            )
        elif change.field != "state":
            old, new = map(_written, (change.before, change.after))
            lines.append(f"{change.field}: {old} → {new}")
    return lines


def _written(value: Any) -> str:
    from inbound_webhooks.event.differences import ABSENT
    from inbound_webhooks.event.truncation import truncate

    if value is ABSENT or value is None:
        return "nothing"
    return truncate(json.dumps(value, ensure_ascii=False), MAX_VALUE_CHARS - 1)
