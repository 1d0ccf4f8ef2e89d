"""What a webhook may start, and what the permissions on it depend on."""

from __future__ import annotations

import pytest

from inbound_webhooks.records import target
from inbound_webhooks.records.target import Origin, Subject, origin, subject_of, target_problems
from inbound_webhooks.records.webhook import Draft, json_fields


def problems(**fields) -> list[tuple[str, str]]:
    found = target_problems(Draft(name="orders", **fields))
    return [(error.problem.field, error.problem.message) for error in found]


def test_the_refusal_of_a_webhook_without_a_target_names_all_kinds():
    assert target.NO_TARGET == (
        "a webhook needs a target: a DAG, an asset, DAGs that may wait for its events "
        "or webhooks that get its events"
    )
    assert problems() == [("dag_id", target.NO_TARGET)]


@pytest.mark.parametrize(
    "fields", [{"dag_id": "orders"}, {"asset": "s3://shop/orders"}, {"waiting_dags": ("orders",)}]
)
def test_one_target_is_enough(fields):
    assert problems(**fields) == []


def test_a_webhook_has_no_second_target():
    assert problems(dag_id="orders", asset="orders") == [("asset", target.TWO_TARGETS)]


def test_white_space_is_no_dag():
    assert problems(dag_id=" ") == [("dag_id", "it is empty")]


@pytest.mark.parametrize(("field", "value"), [("wait_seconds", 5), ("prefer_wait", True)])
def test_only_a_dag_has_a_result_to_wait_for(field, value):
    assert problems(asset="orders", **{field: value}) == [(field, target.NOTHING_TO_WAIT_FOR)]


def test_json_has_null_for_no_dag_and_takes_it():
    draft = Draft(name="orders", dag_id=None, asset="orders")
    assert (draft.dag_id, json_fields(draft)["dag_id"]) == ("", None)


@pytest.mark.parametrize(
    ("fields", "subject", "right"),
    [
        ({"dag_id": "a"}, Subject(("a",)), "to trigger the DAG a"),
        ({"asset": "b"}, Subject(asset="b"), "to create events of the asset b"),
        ({}, Subject(), "to edit webhooks"),
    ],
)
def test_what_permissions_depend_on_is_the_target(fields, subject, right):
    assert subject_of(Draft(name="orders", **fields)) == subject
    assert subject.right() == right


def test_several_dags_are_named_together():
    assert Subject(("a", "b")).right("Dag") == "to trigger the Dags a, b"


def test_the_origin_of_a_row_with_a_dag_has_no_webhook():
    assert origin("orders", "webhook1") == Origin("orders")
    assert origin("", "webhook1") == Origin("", "webhook1")
