"""The public suite of JSON that parsers disagree on, at the endpoint; all that is accepted runs."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from tests.infrastructure.environment import CHECKOUT
from tests.infrastructure.webhooks_builder import rows, runs
from tests.integration.hostile.case import Case, post
from tests.integration.hostile.site import Site

FILES = {path.stem: path for path in (CHECKOUT / "tests/vendor/json-test-suite/test_parsing").glob("*.json")}

# JSON by its standard, but nothing that PostgreSQL could store.
NOT_STORABLE = {"y_string_null_escape", "y_object_escaped_null_in_key"}


def allowed(name: str) -> set[int]:
    if name in NOT_STORABLE:
        return {422}
    return {"y": {202}, "n": {400}, "i": {202, 400, 422}}[name[0]]


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_file_is_taken_as_its_name_says_and_kept_byte_for_byte(site: Site, name: str):
    body = FILES[name].read_bytes()
    (reply,) = site.send(Case([post(site.target.path(), body)], 202))
    assert reply.status in allowed(name)
    (stored,) = site.stored()
    assert (stored.state, stored.body) == ("accepted" if reply.status == 202 else "refused", body)
    if reply.status == 202:
        assert json.loads(stored.conf)["value"] == json.loads(body)


def test_what_was_accepted_of_it_runs_with_the_values_that_were_sent(site: Site):
    site.send(Case([post(site.target.path())], 202))
    site.dispatch()
    accepted = [row for row in rows("delivery") if row.state != "refused"]
    ran = {run.run_id: exact(json.dumps(run.conf)) for run in runs()}
    assert ran == {f"webhook__{row.id}": exact(row.conf) for row in accepted}


def exact(text: str) -> Any:
    """A JSON value whose numbers are those that are written: PostgreSQL writes 1e80 with 81 digits."""
    return json.loads(text, parse_float=Decimal)


def test_the_suite_is_whole():
    assert {kind: sum(name[0] == kind for name in FILES) for kind in "yni"} == {"y": 95, "n": 188, "i": 35}
