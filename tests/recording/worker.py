"""Plays scenarios against one endpoint on one database: ``python -m tests.recording.worker``.

It is a process of its own, so that endpoint, caches and clock start afresh for each combination.
Endpoint and client share the process, so the clock that is set for a request is that of the endpoint.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import time_machine

from tests.recording import adapter, changes, database
from tests.recording.observation import DISPATCHED_AT, RUN_COLUMNS, Normaliser, changed_columns
from tests.recording.scenario import DAGS, DEFAULT_NOW, Scenario, Step, dump, every, load
from tests.recording.wire import Reply, converse

REJECTIONS_SECONDS = 2.5
"""Rejections are written in the background, within a second."""

log = logging.getLogger("recording")


class Clock:
    """The time of this process, which stands still until it is set again."""

    def __init__(self) -> None:
        self._travel = time_machine.travel(DEFAULT_NOW, tick=False)

    def __enter__(self) -> Clock:
        self._coordinates = self._travel.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._travel.stop()

    def set(self, timestamp: float) -> None:
        self._coordinates.move_to(datetime.fromtimestamp(timestamp, timezone.utc), tick=False)


def play(endpoint_name: str, scenarios: Sequence[Scenario]) -> list[dict[str, Any]]:
    """What became of each scenario."""
    with Clock() as clock:
        store_dags()
        store_webhooks(scenarios)
        break_dags()
        _log_progress("webhooks are stored")
        endpoint = adapter.open_endpoint(endpoint_name)
        try:
            replies = [_play(scenario, endpoint_name, endpoint, clock) for scenario in scenarios]
            time.sleep(REJECTIONS_SECONDS)
        finally:
            endpoint.close()
        _log_progress("requests are sent")
        before = database.rows_by_webhook("delivery")
        clock.set(DISPATCHED_AT.timestamp())
        adapter.dispatch()
        _log_progress("runs are made")
        return _observations(scenarios, replies, before)


def store_dags() -> None:
    """The DAGs of the scenarios, with their params as JSON Schemas."""
    from airflow.sdk import Param

    from tests.infrastructure.dags_builder import store_dag

    for dag_id, params in json.loads(DAGS.read_text())["params"].items():
        store_dag(dag_id, params={name: Param(**schema) for name, schema in params.items()})


def break_dags() -> None:
    """Write what keeps runs of some DAGs from being made."""
    for dag_id, values in json.loads(DAGS.read_text())["broken"].items():
        values = dict(values)
        if values.pop("unserialized", False):
            database.unserialize_dag(dag_id)
        if values:
            database.change_dag(dag_id, **values)


def check_refused(scenarios: Sequence[Scenario]) -> None:
    """Check that the declared definitions cannot be saved any more, for the declared reason."""
    for scenario in scenarios:
        why = changes.refusal(scenario.name) or ""
        refused = adapter.refusal_of(scenario.webhook)
        if why not in (refused or "saved"):
            raise AssertionError(
                f"{scenario.name}: expected to be refused ({why}), but: {refused or 'saved'}"
            )


def store_webhooks(scenarios: Sequence[Scenario]) -> None:
    """Create one webhook for each different definition, and a copy with its own URL for each scenario."""
    originals: dict[str, str] = {}
    copies = []
    for scenario in scenarios:
        definition = dump(scenario.webhook)
        if definition not in originals:
            name = f"original {len(originals)}"
            originals[definition] = adapter.create_webhook(name, scenario.webhook)
        copies.append((originals[definition], scenario.id, scenario.token))
    database.copy_webhooks(copies)


def _play(scenario: Scenario, name: str, endpoint: adapter.Endpoint, clock: Clock) -> list[list[Reply]]:
    heard = []
    for step in scenario.steps:
        clock.set(scenario.now + step.after_seconds)
        if step.change is not None:
            _change(scenario, **step.change)
        else:
            heard.append(_send(step, name, endpoint))
    return heard


def _send(step: Step, name: str, endpoint: adapter.Endpoint) -> list[Reply]:
    parts = step.parts_for(name, endpoint.base)
    return converse(endpoint.port, parts, method=step.method, responses=step.responses)


def _change(scenario: Scenario, *, what: str, **more: Any) -> None:
    if what == "rotate secret":
        adapter.rotate_secret(scenario.id, **more)
    elif what == "rotate token":
        adapter.rotate_token(scenario.id, grace_hours=more["grace_hours"])
        database.set_newest_token(scenario.id, more["token"])
    elif what == "enable":
        adapter.enable(scenario.id, enabled=more["enabled"])
    elif what == "delete":
        adapter.delete(scenario.id)
    elif what == "damage":
        database.damage(scenario.id, **more)
    else:
        raise ValueError(f"there is no change {what!r}")


def _observations(
    scenarios: Sequence[Scenario],
    replies: Sequence[Sequence[Sequence[Reply]]],
    before: Mapping[str, Sequence[Mapping[str, Any]]],
) -> list[dict[str, Any]]:
    after, rejections = database.rows_by_webhook("delivery"), database.rows_by_webhook("rejection")
    tokens, secrets = database.rows_by_webhook("token"), database.rows_by_webhook("secret")
    webhooks = {row["id"]: row for row in database.rows("webhook")}
    runs = database.runs_by_run_id()
    made = []
    for scenario, heard in zip(scenarios, replies, strict=True):
        of_hook = before.get(scenario.id, [])
        normaliser = Normaliser(scenario.now, f"hook {scenario.id}", [row["id"] for row in of_hook])
        ended = {row["id"]: row for row in after.get(scenario.id, [])}
        credentials = [*tokens.get(scenario.id, []), *secrets.get(scenario.id, [])]
        observation = {
            "responses": [[normaliser.reply(reply) for reply in of_step] for of_step in heard],
            "deliveries": [_delivery(normaliser, row) for row in of_hook],
            "dispatched": [_dispatched(normaliser, row, ended[row["id"]]) for row in of_hook],
            "runs": [_run(normaliser, ended[row["id"]], runs) for row in of_hook],
            "rejections": [
                normaliser.row(row, "id", "webhook_id") for row in rejections.get(scenario.id, [])
            ],
            "webhook": {"confirm_url": webhooks.get(scenario.id, {}).get("confirm_url")},
            "last_used": [
                None if row["last_used_at"] is None else normaliser.value(row["last_used_at"])
                for row in credentials
            ],
        }
        made.append({"name": scenario.name, "observed": observation})
    return made


def _delivery(normaliser: Normaliser, row: Mapping[str, Any]) -> dict[str, Any]:
    """The row as the endpoint wrote it; credentials in plain text."""
    plain = dict(row)
    if plain.get("credentials"):
        plain["credentials"] = database.decrypted(plain["credentials"])
    return normaliser.row(plain, "webhook_id")


def _dispatched(
    normaliser: Normaliser, before: Mapping[str, Any], after: Mapping[str, Any]
) -> dict[str, Any]:
    changed = changed_columns(before, after)
    return {name: normaliser.value(value) for name, value in sorted(changed.items())}


def _run(
    normaliser: Normaliser, delivery: Mapping[str, Any], runs: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """The run of a delivery; its conf only where it is not what the delivery holds."""
    run = runs.get(f"webhook__{delivery['id']}")
    if run is None:
        return {}
    made = normaliser.row({name: run.get(name) for name in RUN_COLUMNS}, "conf")
    return made | {"conf": _conf(normaliser, delivery["conf"], run["conf"])}


def _conf(normaliser: Normaliser, stored: str, of_run: Any) -> Any:
    """Where it is not what the delivery holds, the conf of a run; PostgreSQL sorts the keys of objects."""
    if json.dumps(json.loads(stored)) == json.dumps(of_run):
        return "as in the delivery"
    if json.dumps(json.loads(stored), sort_keys=True) == json.dumps(of_run, sort_keys=True):
        return "as in the delivery, in another order"
    return normaliser.value(of_run)


def _log_progress(what: str) -> None:
    print(f"{what} after {time.process_time():.0f} CPU seconds", file=sys.stderr, flush=True)


def main() -> None:
    parser = ArgumentParser()
    parser.add_argument("endpoint", choices=adapter.ENDPOINTS)
    parser.add_argument("output", type=Path)
    parser.add_argument("--every", type=int, default=1, help="play each n-th scenario only")
    args = parser.parse_args()
    scenarios = list(every(load(), args.every))
    check_refused([scenario for scenario in scenarios if changes.refusal(scenario.name)])
    observed = play(args.endpoint, [one for one in scenarios if not changes.refusal(one.name)])
    columns = {name: database.columns(name) for name in adapter.TABLES}
    with args.output.open("w", encoding="utf-8") as file:
        file.write(dump({"columns": columns}) + "\n")
        for observation in observed:
            file.write(dump(observation) + "\n")


if __name__ == "__main__":
    main()
