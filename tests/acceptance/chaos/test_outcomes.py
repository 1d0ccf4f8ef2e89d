"""The check of the outcomes of all modes finds each kind of fault, and none in what is right."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from tests.acceptance.chaos.modes import BATCH_SIZE, ITEMS, MODES, RUN_AFTER_SECONDS
from tests.acceptance.chaos.outcomes import AssetEvent, OnHold, Row, Run, Tables, check
from tests.acceptance.chaos.stream import Reply, Sent

AT = datetime(2030, 1, 1, 12, tzinfo=timezone.utc)
NAMES = list(MODES)


def after(seconds: float) -> datetime:
    return AT + timedelta(seconds=seconds)


def row(name: str, turn: int = 0, **columns) -> Row:
    """The delivery of the turn's event of a webhook, which has succeeded with a run at that second."""
    number = NAMES.index(name) + turn * len(NAMES)
    delivery_id = f"{number:04}"
    base = {"state": "succeeded", "group_key": "key", "run_id": f"webhook__{delivery_id}"}
    times = {"dispatched_at": after(10 * turn), "received_at": AT}
    return Row(delivery_id, name, number, **base | times | columns)


def run(of: Row, **columns) -> Run:
    """Its run, which took five seconds."""
    values = {"state": "success", "ended_at": (of.dispatched_at or AT) + timedelta(seconds=5)}
    return Run(of.run_id or "", (of.id,), **values | columns)


def ended(name: str, turn: int, state: str, **columns) -> Row:
    """A delivery that has started nothing."""
    return row(name, turn, **{"state": state, "run_id": None, "dispatched_at": None} | columns)


def sent(*rows: Row) -> list[Sent]:
    """The senders of the roots among these, one after the other."""
    return [
        Sent(each.number, True, [Reply(202, each.id)], began_at=place, taken_at=place + 0.5)
        for place, each in enumerate(rows, 1)
        if each.parent_id is None
    ]


def problems(*rows: Row, runs=None, events=(), senders=None, held=None) -> list[str]:
    """What is wrong with these deliveries, and with their own runs unless others are given."""
    made = [run(each) for each in rows if each.run_id] if runs is None else runs
    return check(sent(*rows) if senders is None else senders, Tables(rows, made, events), held)


PLAIN = row("plain")
ASSET = row("asset", run_id=None, asset_event_id=1)
EVENT = AssetEvent(1, ASSET.id)
SPLIT = ended("each", 0, "split")
CHILDREN = [
    replace(row("each"), id=f"child {item}", parent_id=SPLIT.id, item_index=item, run_id=f"webhook__{item}")
    for item in range(ITEMS)
]
SOURCE = ended("routes", 0, "split")
TO_RUN = replace(PLAIN, id="to a run", webhook="route to a run", number=SOURCE.number, parent_id=SOURCE.id)
TO_ASSET = replace(
    ASSET, id="to an asset", webhook="route to an asset", number=SOURCE.number, parent_id=SOURCE.id
)
ROUTED = AssetEvent(1, TO_ASSET.id)


# --- no fault -----------------------------------------------------------------------------------


def test_an_event_with_its_run_is_no_problem():
    assert problems(PLAIN) == []


def test_an_event_with_its_asset_event_is_no_problem():
    assert problems(ASSET, events=[EVENT]) == []


def test_a_split_request_with_its_children_is_no_problem():
    assert problems(SPLIT, *CHILDREN) == []
    assert problems(SOURCE, TO_RUN, TO_ASSET, events=[ROUTED]) == []


def test_a_batch_is_no_problem():
    first, second = batch_of(2)
    assert problems(first, second, runs=[batch_run(first, second)]) == []


def test_what_names_its_successor_is_no_problem():
    old, new = ended("latest", 0, "superseded", superseded_by=row("latest", 1).id), row("latest", 1)
    assert problems(old, new) == []


def test_runs_of_a_key_one_after_the_other_are_no_problem():
    assert problems(row("queue", 0), row("queue", 1)) == []


def test_a_cancelled_run_and_what_cancelled_it_are_no_problem():
    cancels = ended("cancel-running", 1, "skipped", cancels=True)
    cancelled = row("cancel-running", state="cancelled", cancelled_by=cancels.id)
    assert problems(cancelled, cancels, runs=[run(cancelled, state="failed")]) == []


def test_a_response_that_puts_off_is_no_problem():
    taken = Reply(202, PLAIN.id)
    senders = [Sent(PLAIN.number, True, [Reply(0), Reply(503), Reply(429), taken])]
    assert problems(PLAIN, senders=senders) == []


# --- lost, stored twice, or not finished --------------------------------------------------------


def test_a_number_that_was_taken_and_is_not_stored_is_seen():
    assert problems(senders=sent(PLAIN))


def test_a_number_that_is_stored_twice_is_seen():
    again = replace(PLAIN, id="again", run_id="webhook__again")
    assert problems(PLAIN, again, senders=sent(PLAIN))


def test_a_number_that_was_taken_by_another_id_than_the_stored_one_is_seen():
    assert problems(PLAIN, senders=[Sent(PLAIN.number, True, [Reply(202, "another")])])


def test_a_number_that_was_never_taken_or_never_sent_is_seen():
    assert problems(PLAIN, senders=[Sent(PLAIN.number, True, [Reply(503)])])
    assert problems(PLAIN, senders=[])


def test_a_number_of_another_webhook_is_seen():
    assert problems(replace(PLAIN, webhook="held"))


@pytest.mark.parametrize("status", [400, 404, 500])
def test_a_status_that_only_a_fault_explains_is_seen(status):
    senders = [Sent(PLAIN.number, True, [Reply(status), Reply(202, PLAIN.id)])]
    assert problems(PLAIN, senders=senders)


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("plain", "accepted"),
        ("held", "held"),
        ("batch", "batched"),
        ("latest", "settling"),
        ("queue", "in_turn"),
        ("queue", "skipped"),
        ("plain", "undeliverable"),
        ("plain", "superseded"),
        ("each", "succeeded"),
    ],
)
def test_a_state_that_is_not_a_final_one_of_the_webhook_is_seen(name, state):
    assert any("no final state" in each for each in problems(ended(name, 0, state)))


def test_a_skipped_event_that_was_not_to_cancel_is_seen():
    assert problems(ended("cancel-running", 0, "skipped"))


# --- targets ------------------------------------------------------------------------------------


def test_an_event_without_its_run_or_with_two_is_seen():
    assert problems(PLAIN, runs=[])
    assert problems(PLAIN, runs=[run(PLAIN), run(PLAIN, state="success")])


def test_a_run_that_its_delivery_does_not_name_is_seen():
    assert problems(PLAIN, runs=[replace(run(PLAIN), run_id="another")])
    assert problems(PLAIN, runs=[run(PLAIN), Run("stray", ("unknown",), "success", AT)])


def test_an_event_without_its_asset_event_or_with_two_is_seen():
    assert problems(ASSET)
    assert problems(ASSET, events=[EVENT, replace(EVENT, id=2)])


def test_an_asset_event_of_no_delivery_is_seen():
    assert problems(ASSET, events=[EVENT, AssetEvent(2, "unknown")])


def test_an_asset_event_that_its_delivery_does_not_name_is_seen():
    assert problems(ASSET, events=[replace(EVENT, id=2)])


def test_a_run_that_ended_otherwise_than_its_delivery_is_seen():
    assert problems(PLAIN, runs=[run(PLAIN, state="failed")])
    assert problems(PLAIN, runs=[run(PLAIN, state="queued", ended_at=None)])


def test_a_delivery_that_ended_without_a_target_and_has_a_run_is_seen():
    newer = row("latest", 1)
    old = ended("latest", 0, "superseded", superseded_by=newer.id)
    assert problems(old, newer, runs=[run(newer), Run("webhook__x", (old.id,), "success", AT)])


def test_a_delivery_that_names_a_run_which_it_has_not_is_seen():
    newer = row("latest", 1)
    old = row("latest", 0, state="superseded", superseded_by=newer.id)
    assert problems(old, newer, runs=[run(newer)])


# --- families -----------------------------------------------------------------------------------


def test_a_list_without_one_of_its_items_or_with_one_twice_is_seen():
    assert problems(SPLIT, *CHILDREN[1:])
    twice = replace(CHILDREN[0], id="again", run_id="webhook__again")
    assert problems(SPLIT, *CHILDREN, twice)
    assert problems(SPLIT, replace(CHILDREN[0], item_index=1), *CHILDREN[1:])


def test_a_route_without_its_child_is_seen():
    assert problems(SOURCE, TO_RUN)
    assert problems(SOURCE, TO_ASSET, events=[ROUTED])


def test_a_child_without_its_parent_is_seen():
    assert problems(TO_RUN)


# --- groups -------------------------------------------------------------------------------------


def test_a_superseded_event_that_names_no_newer_one_of_its_key_is_seen():
    other = row("latest", 1)
    for named in (None, "unknown", row("latest", 0).id):
        assert problems(ended("latest", 0, "superseded", superseded_by=named), other)
    of_another_key = replace(other, group_key="another")
    assert problems(ended("latest", 0, "superseded", superseded_by=other.id), of_another_key)


def test_an_event_that_ran_and_names_a_successor_is_seen():
    assert problems(row("latest", 0, superseded_by=row("latest", 1).id), row("latest", 1))


def test_a_cancelled_event_that_names_nothing_is_seen():
    cancelled = row("cancel-running", state="cancelled")
    assert problems(cancelled, runs=[run(cancelled, state="failed")])


def batch_of(size: int) -> list[Row]:
    first = row("batch").id
    run_id = f"webhook__batch_{first}"
    return [row("batch", turn, batch_id=first, run_id=run_id, dispatched_at=after(1)) for turn in range(size)]


def batch_run(*members: Row) -> Run:
    return replace(run(members[0]), deliveries=tuple(member.id for member in members))


def test_a_batch_that_is_too_large_is_seen():
    members = batch_of(BATCH_SIZE + 1)
    assert problems(*members, runs=[batch_run(*members)])


def test_a_batch_of_two_keys_or_in_another_order_is_seen():
    first, second = batch_of(2)
    assert problems(
        first, replace(second, group_key="another"), runs=[batch_run(first, replace(second, group_key="x"))]
    )
    assert problems(first, second, runs=[batch_run(second, first)])


def test_a_delivery_that_is_missing_in_the_run_of_its_batch_is_seen():
    first, second = batch_of(2)
    assert problems(first, second, runs=[batch_run(first)])


def test_a_delivery_that_is_in_two_batches_is_seen():
    first, second = batch_of(2)
    other = replace(batch_run(second), run_id=f"webhook__batch_{second.id}")
    assert problems(first, second, runs=[batch_run(first, second), other])


def test_a_delivery_that_names_another_batch_is_seen():
    first, second = batch_of(2)
    assert problems(first, replace(second, batch_id=second.id), runs=[batch_run(first, second)])


def test_an_event_in_a_later_batch_than_one_after_it_is_seen():
    late = row("batch", 2)
    alone = replace(row("batch"), batch_id=late.id, run_id=f"webhook__batch_{late.id}")
    last = replace(row("batch", 1), batch_id=row("batch", 1).id, run_id="webhook__batch_0015")
    found = problems(alone, last, runs=[run(alone), run(last)])
    assert any("in a later batch" in each for each in found)


@pytest.mark.parametrize("name", ["queue", "skip", "cancel-running"])
def test_a_run_that_begins_while_another_one_of_its_key_is_active_is_seen(name):
    found = problems(row(name, 0), row(name, 1, dispatched_at=after(4)))
    assert len(found) == 1
    assert "was active" in found[0]


def test_runs_of_two_keys_may_be_active_together():
    assert problems(row("queue", 0), row("queue", 1, dispatched_at=after(4), group_key="another")) == []


@pytest.mark.parametrize("name", ["latest", "queue", "skip", "cancel-running"])
def test_an_event_that_runs_before_one_that_was_taken_earlier_is_seen(name):
    first, second = row(name, 0, dispatched_at=after(20)), row(name, 1)
    found = problems(first, second)
    assert any("ran before" in each for each in found)


def test_events_whose_requests_overlapped_have_no_order():
    first, second = row("latest", 0, dispatched_at=after(20)), row("latest", 1)
    senders = sent(first, second)
    senders[1].began_at = senders[0].taken_at - 0.1
    assert problems(first, second, senders=senders) == []


def test_an_event_that_ended_for_an_older_one_is_seen():
    first = row("latest", 0)
    found = problems(first, ended("latest", 1, "superseded", superseded_by=first.id))
    assert any("which came before it" in each for each in found)


# --- when it may start --------------------------------------------------------------------------


def test_a_delivery_that_starts_while_its_webhook_is_on_hold_is_seen():
    held = row("held", dispatched_at=after(5))
    assert problems(held, held=OnHold(after(6), after(9))) == []
    assert problems(held, held=OnHold(after(4), after(6)))
    assert problems(row("plain", dispatched_at=after(5)), held=OnHold(after(4), after(6))) == []


def test_a_run_that_may_start_at_another_time_than_its_event_says_is_seen():
    delayed = row("run-after")
    assert problems(delayed, runs=[run(delayed, run_after=after(RUN_AFTER_SECONDS))]) == []
    assert problems(delayed, runs=[run(delayed, run_after=after(0))])
