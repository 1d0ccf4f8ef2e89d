"""The commands that find deliveries and replay them."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from inbound_webhooks.cli.console import (
    WRONG_CALL,
    actor,
    confirm,
    exit_with,
    handler,
    print_data,
    print_text,
)

if TYPE_CHECKING:
    from inbound_webhooks.deliveries.replay_jobs import Report
    from inbound_webhooks.records.delivery_filter import DeliveryFilter

FIND_SECONDS = 600.0
"""How long the command looks for a text."""

LISTED = 100


@handler
def deliveries_command(args: Namespace) -> None:
    """List deliveries, newest first."""
    from inbound_webhooks.deliveries.search import find
    from inbound_webhooks.records.delivery import State
    from inbound_webhooks.webhooks import service

    if args.state is not None and args.state not in State.ALL:
        exit_with(WRONG_CALL, f"--state must be one of {', '.join(State.ALL)}.")
    if args.limit < 1:
        exit_with(WRONG_CALL, "--limit must be at least 1.")
    more = [("state", args.state)] if args.state else []
    more += [("webhook", service.get(args.name).id)] if args.name else []
    found = find(_conditions(args.where, more), None, limit=args.limit, seconds=FIND_SECONDS)
    print_data([_delivery(row) | {"waits_for": _waits_for(row)} for row in found.rows], args.output)


@handler
def replay_command(args: Namespace) -> None:
    """Accept a stored delivery again, or start a job for many."""
    if (args.delivery_id is None) == (not args.where):
        exit_with(WRONG_CALL, "Give either a delivery's id or --where.")
    if args.delivery_id is None:
        _replay_many(args)
        return
    from inbound_webhooks.deliveries.replay import replay
    from inbound_webhooks.receiver.instance import get_receiver

    delivery = replay(get_receiver(), args.delivery_id, actor=actor(), remap=args.remap)
    print_data(_delivery(delivery), args.output)


def _replay_many(args: Namespace) -> None:
    from inbound_webhooks.deliveries import replay_jobs, search

    where = _conditions(args.where)
    number = search.count(where, None)
    if not args.yes and not confirm(f"Replay {'all matching' if number is None else number} deliveries?"):
        print_text("Nothing was replayed.")
        return
    job = replay_jobs.start(access=None, actor=actor(), remap=args.remap, where=where)
    print_data(_summary(replay_jobs.report(job.id, None, actor())), args.output)


@handler
def retry_command(args: Namespace) -> None:
    """Try a delivery and its mails again now."""
    from inbound_webhooks.deliveries.retry_now import retry_now

    print_text(retry_now(args.delivery_id, actor=actor()).sentence)


@handler
def replays_command(args: Namespace) -> None:
    """List replay jobs, or show or cancel one."""
    from inbound_webhooks.deliveries import replay_jobs

    if args.job_id is None:
        if args.cancel:
            exit_with(WRONG_CALL, "--cancel needs a JOB_ID.")
        found = replay_jobs.reports(None, actor(), limit=LISTED)
        print_data([_summary(report) for report in found], args.output)
        return
    if args.cancel:
        replay_jobs.cancel(args.job_id, None, actor())
    report = replay_jobs.report(args.job_id, None, actor())
    print_data(_summary(report) | {"causes": [vars(cause) for cause in report.causes]}, args.output)


def _conditions(given: Sequence[str], more: Sequence[tuple[str, str]] = ()) -> DeliveryFilter:
    from inbound_webhooks.errors import InvalidDefinition
    from inbound_webhooks.records.delivery_filter import parse

    pairs = []
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            exit_with(WRONG_CALL, f"--where expects CONDITION=VALUE, not {text!r}.")
        pairs.append((name.strip(), value))
    try:
        return parse([*pairs, *more])
    except InvalidDefinition as error:
        exit_with(WRONG_CALL, f"--where {error.problem.field}: {error.problem.message}")


def _summary(report: Report) -> dict[str, Any]:
    job = report.job
    return {
        "job": job.id,
        "state": job.state,
        "deliveries": job.total,
        **report.progress,
        "where": " ".join(f"{name}={value}" for name, value in json.loads(job.conditions)),
        "remap": job.remap,
        "actor": job.actor,
        "created_at": job.created_at.isoformat(),
        "finished_at": job.finished_at.isoformat() if job.finished_at else None,
    }


def _waits_for(row: Any) -> str | None:
    """Why a delivery has no run yet: too many are active, or are queued as of the last second."""
    from inbound_webhooks.deliveries.details import waiting_reason
    from inbound_webhooks.storage.database import transaction

    with transaction() as connection:
        return waiting_reason(connection, row)


def _delivery(row: Any) -> dict[str, Any]:
    return {
        "id": row.id,
        "webhook": row.webhook_name,
        "dag_id": row.dag_id or None,
        "state": row.state,
        "received_at": row.received_at.isoformat(),
        "run_id": row.run_id,
        "finished_at": row.finished_at.isoformat() if row.finished_at else None,
        "attempts": row.attempts,
        "replay_of": row.replay_of,
        "error": row.error,
    }
