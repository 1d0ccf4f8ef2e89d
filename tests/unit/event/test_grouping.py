"""Which fields of a grouping belong together, and what is said where one is missing."""

from __future__ import annotations

import pytest

from inbound_webhooks.errors import InvalidDefinition
from inbound_webhooks.event.expressions.budget import CompileBudget
from inbound_webhooks.event.grouping import compile_grouping
from inbound_webhooks.records.webhook import Draft

BATCH = {"batch_size": 10, "batch_seconds": 60}
LATEST = {"latest_by": "${Webhook::Body.id}", "quiet_seconds": 10, "at_most_seconds": 60}
ONE = {"one_at_a_time": "${Webhook::Body.id}"}


def compiled(**fields):
    return compile_grouping(Draft(name="orders", dag_id="orders", **fields), CompileBudget(1_000))


@pytest.mark.parametrize(
    ("fields", "state"), [(BATCH, "batched"), (LATEST, "settling"), (ONE, "in_turn")], ids=str
)
def test_each_way_of_grouping_has_a_state(fields, state):
    assert compiled(**fields).state == state


def test_a_webhook_without_these_fields_groups_nothing():
    assert compiled() is None


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"batch_size": 10}, "batch_size", "needs batch_seconds"),
        ({"batch_seconds": 10}, "batch_seconds", "needs batch_size"),
        ({"batch_by": "x"}, "batch_by", "needs batch_size"),
        ({"latest_by": "x"}, "latest_by", "needs quiet_seconds"),
        ({"quiet_seconds": 1}, "quiet_seconds", "needs latest_by"),
        ({"at_most_seconds": 1}, "at_most_seconds", "needs latest_by"),
        ({"cancel_on": "true"}, "cancel_on", "needs one_at_a_time"),
        ({"when_busy": "skip"}, "when_busy", "needs one_at_a_time"),
        (LATEST | {"at_most_seconds": 9}, "at_most_seconds", "less than quiet_seconds"),
        (BATCH | LATEST, "latest_by", "cannot be combined with batch_size"),
        (BATCH | ONE, "one_at_a_time", "cannot be combined with batch_size"),
        (ONE | {"cancel_on": "{{ ("}, "cancel_on", "unexpected"),
        (ONE | {"one_at_a_time": "{{ ("}, "one_at_a_time", "unexpected"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_fields_that_do_not_fit_are_named(fields, field, words):
    with pytest.raises(InvalidDefinition, match=words) as raised:
        compiled(**fields)
    assert raised.value.problem.field == field
