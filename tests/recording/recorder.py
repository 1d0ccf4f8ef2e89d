"""The four combinations of endpoint and database: playing and recording them, comparing with the record."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.infrastructure.databases import PostgresTemplate, SqliteTemplate
from tests.infrastructure.environment import CHECKOUT, process_environment
from tests.infrastructure.postgres import PostgresCluster
from tests.recording import changes, compact
from tests.recording.adapter import ENDPOINTS, VARIABLES
from tests.recording.observation import flat
from tests.recording.scenario import DATA, dump

RECORD = DATA / "recorded.jsonl"
COLUMNS = DATA / "columns.json"

BACKENDS = ("sqlite", "postgresql")
COMBINATIONS = tuple((endpoint, backend) for backend in BACKENDS for endpoint in ENDPOINTS)
AT_ONCE = 2

Flat = dict[str, Any]


class WorkerFailed(Exception):
    """A worker ended without observations."""


class Observed:
    """What one combination gave: values by path for each scenario, and the columns of our tables."""

    def __init__(self, output: Path) -> None:
        with output.open(encoding="utf-8") as lines:
            self.columns: dict[str, list[str]] = json.loads(next(lines))["columns"]
            made = map(json.loads, lines)
            self.scenarios: dict[str, dict[str, Any]] = {it["name"]: it["observed"] for it in made}


def observe(url: str, endpoint: str, home: Path, *, every: int = 1) -> Observed:
    """Play the scenarios in a process of its own."""
    home.mkdir(parents=True, exist_ok=True)
    output, log = home / "observed.jsonl", home / "worker.log"
    command = [sys.executable, "-m", "tests.recording.worker", endpoint, str(output), "--every", str(every)]
    with log.open("wb") as file:
        environment = process_environment(home, url, **VARIABLES)
        done = subprocess.run(command, cwd=CHECKOUT, env=environment, stdout=file, stderr=file, check=False)
    if done.returncode != 0:
        raise WorkerFailed(f"{endpoint} on {url}:\n{log.read_text(errors='replace')[-6000:]}")
    return Observed(output)


def observe_all(templates: Mapping[str, Any], folder: Path) -> dict[str, Observed]:
    """All combinations, by name; two of them at the same time."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        jobs = {}
        for endpoint, backend in COMBINATIONS:
            home = folder / f"{endpoint}_{backend}"
            home.mkdir(parents=True)
            url = templates[backend].for_airflow(home)
            jobs[name_of(endpoint, backend)] = pool.submit(observe, url, endpoint, home)
        return {name: job.result() for name, job in jobs.items()}


def name_of(endpoint: str, backend: str) -> str:
    return f"{endpoint}-{backend}"


def record(*, is_compared: bool = True) -> None:
    """Play everything twice; write what came of it if it is the same both times.

    :param is_compared: without it everything is played once, and a play has to prove that it is stable
    """
    folder = Path(tempfile.mkdtemp(prefix="recording-"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        cluster = PostgresCluster()
        stack.callback(cluster.remove)
        cluster.start()
        for backend in BACKENDS:
            (folder / backend).mkdir()
        templates = {
            "sqlite": SqliteTemplate(folder / "sqlite"),
            "postgresql": PostgresTemplate(cluster, folder / "postgresql"),
        }
        first = observe_all(templates, folder / "first")
        second = observe_all(templates, folder / "second") if is_compared else first
    unstable = _unstable(first, second)
    for line in unstable:
        print(line)
    if unstable:
        sys.exit(f"{len(unstable)} values differed from one time to the next; nothing is recorded")
    _write(first)


def _unstable(first: Mapping[str, Observed], second: Mapping[str, Observed]) -> list[str]:
    return [
        f"{combination}: {scenario}: {difference}"
        for combination, observed in first.items()
        for scenario, values in observed.scenarios.items()
        for difference in differences(flat(values), flat(second[combination].scenarios[scenario]))
    ]


def _write(observed: Mapping[str, Observed]) -> None:
    """One line a scenario: the first combination's values, and where others differ from them."""
    names = [name_of(*it) for it in COMBINATIONS]
    base = observed[names[0]]
    typical = compact.typical_of(base.scenarios.values())
    with RECORD.open("w", encoding="utf-8", newline="\n") as file:
        file.write(dump({"typical": typical}) + "\n")
        for scenario, values in base.scenarios.items():
            line: dict[str, Any] = {"name": scenario, "recorded": compact.shorten(values, typical)}
            others = {
                name: _patch(flat(values), flat(observed[name].scenarios[scenario])) for name in names[1:]
            }
            if differs := {name: patch for name, patch in others.items() if patch}:
                line["differs"] = differs
            file.write(dump(line) + "\n")
    COLUMNS.write_text(json.dumps(base.columns, indent=1) + "\n")
    print(f"{len(base.scenarios)} scenarios are recorded in {RECORD.stat().st_size / 1e6:.1f} MB")


def _patch(base: Flat, other: Flat) -> Flat:
    patch = {path: value for path, value in other.items() if path not in base or base[path] != value}
    return patch | {path: changes.ABSENT for path in base if path not in other}


def recorded(combination: str) -> dict[str, Flat]:
    """The record of a combination, scenario -> values by path, with today's intended changes."""
    made = {}
    with RECORD.open(encoding="utf-8") as lines:
        typical = json.loads(next(lines))["typical"]
        for line in map(json.loads, lines):
            values = flat(compact.lengthen(line["recorded"], typical))
            values |= line.get("differs", {}).get(combination, {})
            values = {path: value for path, value in values.items() if value != changes.ABSENT}
            made[line["name"]] = changes.expected(line["name"], values)
    return made


def differences(expected: Flat, observed: Flat) -> list[str]:
    """One line for each value that is another one."""
    paths = sorted({*expected, *observed})
    return [
        f"{path}: {expected.get(path, changes.ABSENT)!r} is now {observed.get(path, changes.ABSENT)!r}"
        for path in paths
        if expected.get(path, changes.ABSENT) != observed.get(path, changes.ABSENT)
    ]
