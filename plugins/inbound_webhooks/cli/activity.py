"""``airflow webhooks stats``: a webhook's deliveries by the hour."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from inbound_webhooks.cli.console import WRONG_CALL, exit_with, handler, print_data
from inbound_webhooks.monitoring.clock import utc_now

if TYPE_CHECKING:
    from argparse import Namespace


@handler
def stats_command(args: Namespace) -> None:
    """Print the last hours: a table of those with deliveries and their total, or everything as data."""
    from inbound_webhooks.records.activity import MAX_HOURS, as_data
    from inbound_webhooks.storage.activity import read_activity
    from inbound_webhooks.storage.database import transaction
    from inbound_webhooks.webhooks import service

    if not 1 <= args.hours <= MAX_HOURS:
        exit_with(WRONG_CALL, f"--hours expects a number from 1 to {MAX_HOURS}.")
    webhook = service.get(args.name)
    with transaction() as connection:
        found = read_activity(connection, [webhook.id], utc_now(), hours=args.hours)
    data = as_data(found[webhook.id])
    for hour in data["hours"]:
        hour["hour"] = hour["hour"].isoformat()
    if args.output in ("json", "yaml"):
        print_data({"webhook_id": webhook.id, **data}, args.output)
        return
    states = list(data["total"]["states"])
    lines = [_line(hour["hour"], hour, states) for hour in data["hours"] if hour["deliveries"]]
    print_data([*lines, _line("total", data["total"], states)], args.output)


def _line(name: str, counted: dict[str, Any], states: list[str]) -> dict[str, Any]:
    latencies = {
        f"{latency}_{share}": counted[latency][f"{share}_seconds"]
        for latency in ("to_run", "to_task")
        for share in ("p50", "p95")
    }
    numbers = {state: counted["states"].get(state, 0) for state in states}
    return {"hour": name, "deliveries": counted["deliveries"], **numbers, **latencies}
