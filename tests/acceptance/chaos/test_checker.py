"""The judge of a stream: each way in which a promise can be broken is one of its faults."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from tests.acceptance.chaos.checker import Run, Stored, Verdict, check
from tests.acceptance.chaos.killer import Victim, order_of_deaths
from tests.acceptance.chaos.stream import Reply, Sent

TAKEN = Reply(202, "a")
BROKEN = Reply(0)
PUT_OFF = Reply(503, retry_after="10")
ROW = Stored(id="a", number=7, state="dispatched", run_id="webhook__a", dispatched=True, attempts=1)
RUN = Run(run_id="webhook__a", number=7, delivery_id="a", tasks=1, notes=1)
OTHER_ROW = replace(ROW, id="b", run_id="webhook__b")
OTHER_RUN = replace(RUN, run_id="webhook__b", delivery_id="b")


def verdict(*responses: Reply, rows=(ROW,), runs=(RUN,), knows_events: bool = True) -> Verdict:
    return check([Sent(7, knows_events, list(responses))], rows, runs)


def test_a_number_that_was_taken_and_ran_once_is_no_problem():
    assert verdict(TAKEN).problems == []


def test_a_number_that_was_brought_by_sending_again_is_counted_and_no_problem():
    found = verdict(BROKEN, PUT_OFF, TAKEN)
    assert (found.problems, found.recovered) == ([], 1)


@pytest.mark.parametrize(("rows", "runs"), [((), ()), ((ROW,), ())], ids=["not stored", "without a run"])
def test_what_was_taken_and_has_no_run_is_lost(rows, runs):
    assert len(verdict(TAKEN, rows=rows, runs=runs).lost) == 1


def test_an_event_that_is_known_again_may_be_stored_once_only():
    found = verdict(BROKEN, TAKEN, rows=(ROW, OTHER_ROW), runs=(RUN, OTHER_RUN))
    assert len(found.duplicated) == 1


def test_another_event_may_be_stored_once_for_each_attempt_for_its_sender_may_not_have_heard():
    both = {"rows": (ROW, OTHER_ROW), "runs": (RUN, OTHER_RUN), "knows_events": False}
    found = verdict(BROKEN, TAKEN, **both)
    assert (found.problems, found.unheard) == ([], 1)
    assert len(verdict(TAKEN, **both).duplicated) == 1


def test_two_runs_of_a_delivery_are_one_too_many_whatever_their_ids():
    assert len(verdict(TAKEN, runs=(RUN, replace(RUN, run_id="another"))).duplicated) == 1


def test_a_number_that_was_never_taken_is_undelivered():
    assert len(verdict(BROKEN, PUT_OFF, rows=(), runs=()).undelivered) == 1


@pytest.mark.parametrize(
    "response", [Reply(500), Reply(404), Reply(503), Reply(429, retry_after="1")], ids=lambda it: it.status
)
def test_only_a_503_with_a_time_to_come_again_may_stand_in_for_a_2xx(response):
    assert len(verdict(response, TAKEN).unexpected) == 1


def test_an_event_that_is_known_again_has_one_id_and_another_one_for_each_2xx():
    assert len(verdict(TAKEN, Reply(202, "b")).unexpected) == 1
    assert len(verdict(TAKEN, TAKEN, knows_events=False).unexpected) == 1


def test_a_run_that_is_not_its_deliverys_is_unexpected():
    for strange in (replace(RUN, run_id="another"), replace(RUN, number=8), replace(RUN, delivery_id="c")):
        assert verdict(TAKEN, runs=(strange,)).unexpected


def test_a_row_of_a_number_that_was_never_sent_is_unexpected():
    assert verdict(TAKEN, rows=(ROW, replace(OTHER_ROW, number=8)), runs=(RUN,)).unexpected


@pytest.mark.parametrize(
    "change",
    [{"state": "accepted"}, {"run_id": None}, {"dispatched": False}, {"attempts": 0}],
    ids=lambda change: next(iter(change)),
)
def test_a_delivery_that_is_marked_in_part_is_in_a_half_state(change):
    assert len(verdict(TAKEN, rows=(replace(ROW, **change),)).half) == 1


@pytest.mark.parametrize("change", [{"tasks": 0}, {"notes": 0}, {"notes": 2}], ids=str)
def test_a_run_without_all_that_goes_with_it_is_in_a_half_state(change):
    assert len(verdict(TAKEN, runs=(replace(RUN, **change),)).half) == 1


def test_a_seed_decides_the_order_of_deaths_and_each_round_has_all_of_them():
    victims = {name: Victim(lambda: True, lambda: None, share) for name, share in {"a": 1, "b": 3}.items()}

    def first(count: int, seed: int) -> list[tuple[float, str]]:
        order = order_of_deaths(victims, Random(seed))
        return [next(order) for _ in range(count)]

    assert first(20, seed=1) == first(20, seed=1) != first(20, seed=2)
    assert sorted(name for _, name in first(4, seed=1)) == ["a", "b", "b", "b"]
