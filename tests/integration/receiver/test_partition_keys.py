"""Webhooks of assets at the endpoint: what is stored, and which partition an event is about."""

from __future__ import annotations

import json

import pytest

from tests.infrastructure.asgi_endpoint import JSON
from tests.infrastructure.assets_builder import URI
from tests.infrastructure.webhooks_builder import rows, store_webhook

DAY = "${Webhook::Body.day}"


@pytest.fixture
def hook(database):
    return store_webhook(
        dag_id="", asset=URI, partition_key=DAY, mapping={"number": "${Webhook::Body.number}"}
    )


def test_an_accepted_delivery_has_its_asset_and_its_partition(hook, asgi):
    reply = asgi.post(hook.path, b'{"day": "2026-12-01", "number": 7}', headers=JSON)
    assert reply.status == 202
    [row] = rows("delivery")
    assert (row.state, row.dag_id, row.asset, row.partition_key) == ("accepted", "", URI, "2026-12-01")
    # Without a DAG there are no params that a value could have to fit.
    assert json.loads(row.conf) == {"number": 7}


@pytest.mark.parametrize("body", [b'{"number": 7, "day": ""}', b'{"number": 7, "day": null}'])
def test_an_event_may_be_about_no_partition(hook, asgi, body):
    assert asgi.post(hook.path, body, headers=JSON).status == 202
    assert [(row.state, row.partition_key) for row in rows("delivery")] == [("accepted", None)]


@pytest.mark.parametrize("day", ["x" * 251, "a\u0000b"])
def test_a_partition_key_that_cannot_be_used_refuses_the_event(hook, asgi, day):
    reply = asgi.post(hook.path, json.dumps({"day": day, "number": 7}).encode(), headers=JSON)
    assert (reply.status, "partition key" in reply.body.decode()) == (422, True)
    assert [(row.state, row.partition_key) for row in rows("delivery")] == [("refused", None)]


def test_a_partition_key_is_checked_when_it_is_saved(sqlite_database):
    from inbound_webhooks.errors import DefinitionError

    with pytest.raises(DefinitionError) as caught:
        store_webhook(dag_id="", asset=URI, partition_key="{{ body. }}")
    assert caught.value.problem.field == "partition_key"


def test_a_preview_shows_the_partition(sqlite_database):
    from inbound_webhooks.deliveries.preview import preview_request
    from inbound_webhooks.receiver.instance import get_receiver
    from inbound_webhooks.webhooks import service

    hook = store_webhook(dag_id="", asset=URI, partition_key=DAY)
    found = preview_request(
        get_receiver(),
        service.get(hook.id),
        method="POST",
        query_string="",
        headers=JSON,
        body=b'{"day": "2026-12-01"}',
    )
    assert (found["state"], found["partition_key"]) == ("accepted", "2026-12-01")


def test_a_replay_keeps_the_partition_with_the_conf_and_computes_it_with_the_mapping(hook, asgi):
    from inbound_webhooks.deliveries.replay import replay
    from inbound_webhooks.receiver.instance import get_receiver
    from tests.infrastructure.webhooks_builder import change_webhook

    asgi.post(hook.path, b'{"day": "2026-12-01", "number": 7}', headers=JSON)
    [first] = rows("delivery")
    change_webhook(hook.id, partition_key="all", asset="s3://shop/others")
    again = [replay(get_receiver(), first.id, actor="a tester", remap=remap) for remap in (False, True)]
    assert [(each.asset, each.partition_key) for each in again] == [
        ("s3://shop/others", "2026-12-01"),
        ("s3://shop/others", "all"),
    ]
