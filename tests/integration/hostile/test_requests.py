"""Bad input over a real socket, at every endpoint: the right status, nothing run that was not accepted."""

from __future__ import annotations

import json
from functools import cache

import pytest

from tests.infrastructure.raw_http import Reply
from tests.infrastructure.webhooks_builder import PREFIX, Hook, rows, runs
from tests.integration.hostile import bodies, framings, heads, targets
from tests.integration.hostile.case import ANYTHING, Case, Target, post
from tests.integration.hostile.site import Site

NOBODY = Hook("", "", "")


@cache
def cases(target: Target) -> dict[str, Case]:
    return {
        **bodies.cases(target),
        **framings.cases(target),
        **heads.cases(target),
        **targets.cases(target),
    }


NAMES = tuple(cases(Target(PREFIX, NOBODY, NOBODY)))


def statuses_of(case: Case, replies: list[Reply]) -> list[int]:
    """One for each answer that is expected, 0 where none came."""
    heard = [reply.status for reply in replies]
    return heard + [0] * (len(case.statuses) - len(heard))


@pytest.mark.parametrize("name", NAMES)
def test_each_is_answered_as_it_deserves_and_stored_only_then(site: Site, name: str):
    case = cases(site.target)[name]
    replies = site.send(case)
    heard = statuses_of(case, replies)
    assert all(status in allowed for status, allowed in zip(heard, case.statuses, strict=False)), heard
    # What is left over of a request that a server has given up is no request either.
    assert set(heard[len(case.statuses) :]) <= ({400} if case.by_server else set())
    expected = [("accepted", case.body)] * heard.count(202)
    expected += [] if case.kept is None else [("refused", case.kept)]
    stored = site.stored()
    assert sorted((row.state, row.body) for row in stored) == expected
    assert all(is_inert(reply) for reply in replies if not case.by_server)
    if case.value is not ANYTHING:
        assert json.loads(stored[0].conf)["value"] == case.value


def is_inert(reply: Reply) -> bool:
    """Whether an answer has the headers that keep it harmless in a browser."""
    wanted = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
    return all(reply.headers[name] == value for name, value in wanted.items())


def test_what_was_accepted_becomes_one_run_each_and_nothing_else_runs(site: Site):
    site.send(Case([post(site.target.path())], 202))
    site.dispatch()
    ran = {run.run_id: run.conf for run in runs()}
    accepted = [row for row in rows("delivery") if row.state != "refused"]
    assert {row.state for row in accepted} == {"dispatched"}
    assert ran == {f"webhook__{row.id}": json.loads(row.conf) for row in accepted}


def test_there_are_many_of_them():
    assert len(NAMES) >= 250
