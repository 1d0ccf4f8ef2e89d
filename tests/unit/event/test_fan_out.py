"""Lists of events: each item is judged on its own, within limits that all of them share."""

from __future__ import annotations

import json
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inbound_webhooks.errors import InvalidDefinition
from inbound_webhooks.event.fan_out import (
    ALL_FILTERED,
    EMPTY,
    MAX_SLOWLY_CHECKED_ITEMS,
    FanOutLimits,
    Target,
    decide_as_received,
    decide_child,
    with_duplicates,
)
from inbound_webhooks.event.judge import Outcome, Verdict
from inbound_webhooks.event.rules import Rules, compile_rules
from inbound_webhooks.records.webhook import Draft
from tests.unit.event.builders import parameter, request

NUMBER = {"number": parameter("number", {"type": "integer"})}
MAPPING = {"number": "${Webhook::Item.number}"}


def rules_of(**fields: Any) -> Rules:
    return compile_rules(Draft(**({"name": "shop", "dag_id": "orders", "mapping": MAPPING} | fields)))


def target_of(rules: Rules, **fields: Any) -> Target:
    return Target(**({"webhook_id": "abcdefghij", "name": "shop", "rules": rules, "params": NUMBER} | fields))


def decided(
    body: Any,
    *,
    limits: FanOutLimits | None = None,
    slow: bool = False,
    params: Any = NUMBER,
    **fields: Any,
) -> Verdict:
    rules = rules_of(**({"each": "body"} | fields))
    numbers = count(1)
    return decide_as_received(
        rules,
        request(body),
        [target_of(rules, params=params, params_version="v1", is_checked_slowly=slow)],
        delivery_id="0" * 32,
        new_id=lambda: f"{next(numbers):032}",
        max_content_bytes=2**20,
        secrets={},
        limits=limits or FanOutLimits(),
    )


def document(verdict: Verdict) -> dict[str, Any]:
    return dict(json.loads(verdict.response.body))


# --- any list, against a model ---------------------------------------------------------------

items = st.fixed_dictionaries(
    {"kind": st.sampled_from(["order", "ping"]), "number": st.sampled_from([1, 2, 3, "many", None])},
    optional={"id": st.integers(0, 4)},
)


def expected(item: dict[str, Any]) -> tuple[str, dict[str, Any] | None]:
    """What a list's item becomes, in plain Python; a missing number leaves no default."""
    if item["kind"] != "order":
        return Outcome.FILTERED, None
    return (
        (Outcome.ACCEPTED, {"number": item["number"]})
        if isinstance(item["number"], int)
        else (
            Outcome.REFUSED,
            None,
        )
    )


@given(body=st.lists(items, max_size=12))
def test_any_list_becomes_what_its_items_are_one_by_one(body):
    verdict = decided(body, filter='item.kind == "order"', dedup="${Webhook::Item.id}")
    model = [expected(item) for item in body]
    children = [
        (child.verdict.outcome, None if child.verdict.conf is None else json.loads(child.verdict.conf))
        for child in verdict.children
    ]
    assert children == model
    outcomes = [outcome for outcome, _ in model]
    assert verdict.outcome == (
        Outcome.SPLIT
        if Outcome.ACCEPTED in outcomes
        else Outcome.REFUSED
        if Outcome.REFUSED in outcomes
        else Outcome.FILTERED
    )
    assert verdict.response.status == {"split": 202, "refused": 422, "filtered": 200}[verdict.outcome]
    assert [child.index for child in verdict.children] == list(range(len(body)))
    if verdict.outcome == Outcome.SPLIT:
        counts = document(verdict)["items"]
        assert counts == {
            "accepted": outcomes.count("accepted"),
            "filtered": outcomes.count("filtered"),
            "duplicates": 0,
            "refused": outcomes.count("refused"),
        }


# --- one case each ---------------------------------------------------------------------------


def test_each_item_has_its_own_key_event_type_and_conf():
    body = [{"id": 7, "kind": "new", "number": 1}, {"id": 8, "kind": "gone", "number": 2}]
    verdict = decided(body, dedup="${Webhook::Item.id}", event_type="{{ item.kind }}")
    first, second = (child.verdict for child in verdict.children)
    assert (first.event_type, second.event_type) == ("new", "gone")
    assert first.deduplication_key != second.deduplication_key
    assert (first.conf, second.conf) == ('{"number":1}', '{"number":2}')
    assert {first.params_version, second.params_version} == {"v1"}


@pytest.mark.parametrize(
    ("each", "body"),
    [
        ("body.records", {"records": [{"number": 1}]}),
        ("${Webhook::Body.records}", {"records": [{"number": 1}]}),
        ("{{ body.data | fromjson }}", {"data": '[{"number": 1}]'}),
        ("[body.one]", {"one": {"number": 1}}),
        ("body", [{"number": 1}]),
    ],
)
def test_a_path_or_an_expression_yields_the_list(each, body):
    assert [child.verdict.conf for child in decided(body, each=each).children] == ['{"number":1}']


@pytest.mark.parametrize(
    ("body", "found"), [({}, "nothing"), ({"records": {}}, "an object"), ({"records": "a"}, "a text")]
)
def test_anything_but_a_list_is_refused_and_named(body, found):
    verdict = decided(body, each="body.records")
    assert (verdict.outcome, verdict.response.status) == (Outcome.REFUSED, 422)
    assert document(verdict)["error"] == f"each: the expression yields {found} instead of a list."


def test_an_empty_list_and_one_without_a_match_are_filtered_with_their_reason():
    assert (decided([]).outcome, decided([]).reason) == (Outcome.FILTERED, EMPTY)
    verdict = decided([{"number": 1}], filter="item.number > 1")
    assert (verdict.outcome, verdict.reason) == (Outcome.FILTERED, ALL_FILTERED)


def test_a_list_whose_items_are_all_refused_is_refused_with_the_first_reason():
    verdict = decided([{"number": "a"}, {"number": "b"}])
    assert (verdict.outcome, verdict.response.status) == (Outcome.REFUSED, 422)
    assert document(verdict)["items"]["refused"] == 2
    assert [error["item"] for error in document(verdict)["errors"]] == [0, 1]
    assert decided([{"number": "a"}], invalid_status=202).response.status == 202


@pytest.mark.parametrize(
    ("limits", "slow", "most"),
    [(FanOutLimits(max_items=3), False, 3), (None, True, MAX_SLOWLY_CHECKED_ITEMS)],
)
def test_a_list_beyond_the_limit_is_refused_as_a_whole(limits, slow, most):
    body = [{"number": 1}] * (most + 1)
    verdict = decided(body, limits=limits, slow=slow)
    assert (verdict.outcome, verdict.response.status, verdict.children) == (Outcome.REFUSED, 422, ())
    assert decided(body[1:], limits=limits, slow=slow).outcome == Outcome.SPLIT


def test_confs_of_all_items_together_are_limited():
    text = {"each": "body.records", "mapping": {"text": "${Webhook::Body.text}"}, "params": None}
    few, many = ({"text": "x" * 100_000, "records": [1] * number} for number in (160, 200))
    assert decided(few, **text).outcome == Outcome.SPLIT
    verdict = decided(many, **text)
    assert (verdict.outcome, verdict.response.status) == (Outcome.REFUSED, 422)
    assert "confs" in document(verdict)["error"]


def test_all_items_share_one_budget_of_expressions():
    costly = "{{ body.text | replace('a', 'b') | length }}"
    body = {"text": "a" * 400_000, "records": [{}] * 60}
    verdict = decided(body, each="body.records", mapping={"number": costly})
    assert (verdict.outcome, verdict.response.status) == (Outcome.REFUSED, 422)
    assert "computing budget" in document(verdict)["error"]
    few = decided(body | {"records": [{}]}, each="body.records", mapping={"number": costly})
    assert few.outcome == Outcome.SPLIT


def test_without_a_mapping_the_conf_has_the_item_instead_of_the_whole_list():
    verdict = decided([{"number": 1}, {"number": 2}], mapping={}, params=None)
    assert [json.loads(child.verdict.conf or "")["webhook"]["item"] for child in verdict.children] == [
        {"number": 1},
        {"number": 2},
    ]
    assert "body" not in json.loads(verdict.children[0].verdict.conf or "")["webhook"]


def test_a_list_whose_items_all_have_keys_has_a_key_of_its_own():
    body = [{"id": 1, "number": 1}, {"id": 2, "number": 2}]
    keyed = decided(body, dedup="${Webhook::Item.id}")
    assert keyed.deduplication_key == decided(body, dedup="${Webhook::Item.id}").deduplication_key
    assert keyed.deduplication_key not in {child.verdict.deduplication_key for child in keyed.children}
    assert decided([*body, {"number": 3}], dedup="${Webhook::Item.id}").deduplication_key is None


def test_repeated_items_are_counted_as_duplicates_in_the_response():
    rules = rules_of(each="body")
    verdict = decided([{"number": 1}, {"number": 2}])
    repeated = [child.verdict.delivery_id for child in verdict.children]
    one = with_duplicates(rules, verdict, repeated[:1])
    assert (document(one)["status"], document(one)["items"]["duplicates"]) == ("accepted", 1)
    every = with_duplicates(rules, verdict, repeated)
    assert (document(every)["status"], document(every)["items"]["accepted"]) == ("duplicate", 0)


def test_one_item_is_judged_again_by_its_place():
    rules = rules_of(each="body")
    again: dict[str, Any] = {"new_id": lambda: "1" * 32, "max_content_bytes": 2**20, "limits": FanOutLimits()}
    body = request([{"number": 1}, {"number": 2}])
    assert decide_child(target_of(rules), body, 1, **again).conf == '{"number":2}'
    gone = decide_child(target_of(rules), body, 2, **again)
    assert "no item 2" in str(gone.error)


@pytest.mark.parametrize("field", ["filter", "dedup", "event_type"])
def test_only_a_webhook_with_a_list_knows_items(field):
    compile_rules(Draft(name="a", dag_id="a", each="body", **{field: "{{ item.id }}"}))
    with pytest.raises(InvalidDefinition, match="splits a list"):
        compile_rules(Draft(name="a", dag_id="a", **{field: "{{ item.id }}"}))


def test_the_response_knows_no_item():
    with pytest.raises(InvalidDefinition, match="splits a list"):
        compile_rules(Draft(name="a", dag_id="a", each="body", response_template="${Webhook::Item.id}"))
