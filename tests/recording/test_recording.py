"""The endpoint behaves as it is recorded, at both endpoints and on both databases.

``RECORDING=quick`` plays each ninth scenario at the gateway on SQLite only.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.infrastructure.environment import CHECKOUT, sqlite_url
from tests.infrastructure.tiers import PAIRS
from tests.recording import changes, compact
from tests.recording.observation import flat
from tests.recording.recorder import (
    AT_ONCE,
    COLUMNS,
    COMBINATIONS,
    Observed,
    differences,
    name_of,
    observe,
    recorded,
)
from tests.recording.scenario import load

IS_QUICK = os.environ.get("RECORDING") == "quick"
IS_PART = os.environ.get("RECORDING") == "part"
PART_EVERY = 23
"""What `make test` plays, at the two pairs of endpoint and database that its other tests run at; `make
test-all` plays every scenario at all four.

Without a common divisor with the sizes of most groups of scenarios, so that it has something of each.
"""

QUICK_EVERY = 9

MIN_REQUESTS = 1_500
SHOWN_SCENARIOS = 25
SHOWN_FIELDS = 12

played = [("gateway", "sqlite")] if IS_QUICK else sorted(PAIRS) if IS_PART else COMBINATIONS


@pytest.fixture(scope="module")
def observed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """Combination -> its observations, as futures: two are under way at the same time."""
    folder = tmp_path_factory.mktemp("recording")
    chosen = [param for param in played if request.config.getoption("database") in (None, param[1])]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        jobs = {}
        for endpoint, backend in chosen:
            home = folder / name_of(endpoint, backend)
            home.mkdir()
            url = _database(request, backend, home)
            every = QUICK_EVERY if IS_QUICK else PART_EVERY if IS_PART else 1
            jobs[name_of(endpoint, backend)] = pool.submit(observe, url, endpoint, home, every=every)
        yield jobs


def _database(request: pytest.FixtureRequest, backend: str, home: Path) -> str:
    if not IS_QUICK:
        url: str = request.getfixturevalue("template_of")(backend).for_airflow(home)
        return url
    return sqlite_url(shutil.copy(_kept_template(request), home / "airflow.db"))


def _kept_template(request: pytest.FixtureRequest) -> Path:
    """A migrated database that stays for the next test run: migrating takes most of a quick run."""
    assert request.config.cache is not None
    kept = request.config.cache.mkdir("recording") / f"{_migrations_hash()}.db"
    if not kept.exists():
        request.getfixturevalue("sqlite_template").copy_to(kept)
    return kept


def _migrations_hash() -> str:
    files = [CHECKOUT / "constraints.txt", *sorted(CHECKOUT.glob("plugins/**/migrations/**/*.py"))]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]


@pytest.mark.parametrize(("endpoint", "backend"), played)
def test_each_request_has_the_recorded_response_and_leaves_the_recorded_rows(
    observed: Mapping[str, Any], endpoint: str, backend: str
) -> None:
    combination = name_of(endpoint, backend)
    made: Observed = observed[combination].result()
    expected = recorded(combination)
    found = {
        name: _differences(name, expected[name], flat(values)) for name, values in made.scenarios.items()
    }
    different = {name: lines for name, lines in found.items() if lines}
    assert not different, _report(different)


@pytest.mark.parametrize(("endpoint", "backend"), played)
def test_the_tables_have_the_recorded_columns(
    observed: Mapping[str, Any], endpoint: str, backend: str
) -> None:
    made: Observed = observed[name_of(endpoint, backend)].result()
    expected = json.loads(COLUMNS.read_text())
    assert made.columns == expected


def test_every_scenario_is_recorded_and_there_are_enough_of_them() -> None:
    scenarios = load()
    assert {scenario.name for scenario in scenarios} == set(recorded(name_of(*COMBINATIONS[0])))
    assert sum(scenario.requests for scenario in scenarios) >= MIN_REQUESTS


def test_an_observation_is_itself_again_after_it_was_shortened() -> None:
    row = {"state": "accepted", "conf": "{}"}
    observation = {
        "responses": [[{"status": 202}], [{"status": 404, "body": "x"}]],
        "deliveries": [row, {"state": "refused"}],
        "dispatched": [{}],
        "runs": [{}],
        "rejections": [],
        "webhook": {"confirm_url": None},
    }
    typical = compact.typical_of([observation, observation | {"deliveries": [row, row]}])
    shortened = compact.shorten(observation, typical)
    assert flat(compact.lengthen(shortened, typical)) == flat(observation)


def test_an_intended_change_is_part_of_what_is_expected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "VALUES", {("delivery", "state"): {"old": "new"}})
    monkeypatch.setattr(changes, "SENTENCES", [("It was so.", "It is so.")])
    monkeypatch.setattr(changes, "JSON_KEYS", {"was": "is"})
    exception = changes.Exception_(scenario="a .*", path=r"responses\.0\.0\.status", now=403, why="a test")
    monkeypatch.setattr(changes, "EXCEPTIONS", [exception])
    values = {
        "deliveries.0.state": "old",
        "rejections.0.reason": "No. It was so.",
        "responses.0.0.status": 200,
        "responses.0.0.body": '{"was": 1}',
    }
    assert changes.expected("a scenario", values) == {
        "deliveries.0.state": "new",
        "rejections.0.reason": "No. It is so.",
        "responses.0.0.status": 403,
        "responses.0.0.body": '{"is": 1}',
    }


def test_renamed_columns_are_read_under_their_recorded_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "COLUMNS", {"delivery": {"old": "new", "was": "is"}})
    monkeypatch.setattr(changes, "ADDED_COLUMNS", {"delivery": {"later"}})
    assert changes.recorded_columns("delivery", ["id", "new", "was", "later"]) == {
        "id": "id",
        "new": "old",
        "was": "was (its declared rename has not happened)",
    }


def _differences(name: str, expected: Mapping[str, Any], observed: Mapping[str, Any]) -> list[str]:
    outcome = changes.outcome_of(name)
    if outcome is None:
        return differences(expected, observed)
    last = max(path for path in observed if re.fullmatch(r"responses\.\d+\.\d+\.status", path))
    return differences({last: outcome.status}, {last: observed[last]})


def _report(different: Mapping[str, list[str]]) -> str:
    lines = [f"{len(different)} scenarios differ from the recording:"]
    for name, fields in list(different.items())[:SHOWN_SCENARIOS]:
        lines += ["", name, *(f"    {field}" for field in fields[:SHOWN_FIELDS])]
        if len(fields) > SHOWN_FIELDS:
            lines.append(f"    … and {len(fields) - SHOWN_FIELDS} more fields")
    if len(different) > SHOWN_SCENARIOS:
        lines += ["", f"… and {len(different) - SHOWN_SCENARIOS} more scenarios"]
    return "\n".join(lines)
