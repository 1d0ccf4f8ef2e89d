"""Each option that is a limit takes effect: it is set, and the limit is met."""

from __future__ import annotations

from dataclasses import fields
from datetime import timedelta
from pathlib import Path

import pytest

from inbound_webhooks.errors import DefinitionError, TooManyTrials
from inbound_webhooks.settings import Settings
from tests.infrastructure.asgi_endpoint import JSON
from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.gateway_endpoint import GatewayEndpoint
from tests.infrastructure.loop import on_the_loop
from tests.infrastructure.webhooks_builder import ACTOR, now, store_webhook

TESTS = Path(__file__).parents[2]


def limits() -> list[str]:
    """The options beyond which something happens, as SECURITY.md lists them."""
    return [option.name for option in fields(Settings) if option.metadata["beyond"]]


@pytest.mark.parametrize("name", limits())
def test_each_limit_is_named_in_a_test_beside_those_of_the_settings(name):
    texts = [path.read_text() for path in TESTS.rglob("test_*.py") if path.name != "test_settings.py"]
    assert any(name in text or name.upper() in text for text in texts)


def test_expressions_of_more_parts_are_not_saved(sqlite_database, configure):
    from inbound_webhooks.records.webhook import Draft
    from inbound_webhooks.webhooks import service

    store_dag("orders")
    draft = Draft(name="a", dag_id="orders", mapping={"p": "{{ [" + "body.a, " * 50 + "] }}"})
    configure(max_expression_parts=100)
    with pytest.raises(DefinitionError, match="more than 100 parts"):
        service.create(draft, actor=ACTOR)
    configure(max_expression_parts=1_000)
    service.create(draft, actor=ACTOR)


def test_expressions_of_more_work_are_refused(sqlite_database, asgi, configure):
    store_dag("orders")
    hook = store_webhook(mapping={"p": "{{ body.a | tojson | length }}"})
    event = b'{"a": [' + b"1, " * 2_000 + b"1]}"
    configure(max_expression_work=1_000)
    assert asgi.post(hook.path, event).status == 422
    configure(max_expression_work=10_000_000)
    assert asgi.post(hook.path, event).status == 202


def test_a_webhook_listens_for_so_many_seconds(sqlite_database, configure):
    from inbound_webhooks.webhooks import listening, service

    hook = store_webhook()
    configure(listening_seconds=7)
    at = now()
    until = listening.start(service.get(hook.id), Settings.load(), actor=ACTOR, now=at)
    assert until - at == timedelta(seconds=7)


@pytest.mark.parametrize(
    ("option", "attribute"),
    [
        ("max_concurrent_back_tests", "back_tests"),
        ("max_concurrent_previews", "previews"),
        ("max_concurrent_searches", "searches"),
    ],
)
def test_so_many_trials_of_users_run_at_the_same_time(sqlite_database, configure, option, attribute):
    from inbound_webhooks.receiver.instance import get_receiver

    configure(**{option: 2})
    slots = getattr(get_receiver(), attribute)
    with slots.held_by("ada"), slots.held_by("bob"), pytest.raises(TooManyTrials), slots.held_by("cyd"):
        pytest.fail("a third one has a slot")
    with slots.held_by("cyd"):
        pass


@pytest.mark.parametrize(("number", "status"), [(1, 503), (2, 202)])
def test_a_gateway_handles_so_many_requests_at_the_same_time(sqlite_database, configure, number, status):
    """One request keeps its slot, so that another one has none, or has one."""
    store_dag("orders")
    hook = store_webhook()
    configure(gateway_max_concurrent_requests=number, queue_timeout_seconds=0.1)
    endpoint = GatewayEndpoint()
    assert endpoint.post(hook.path).status == 202
    slots = endpoint.app._slots.processing

    async def while_one_is_held() -> int:
        await slots.take("another webhook")
        try:
            return (await endpoint.send("POST", hook.path, chunks=[b"{}"], headers=JSON)).status
        finally:
            slots.release("another webhook")

    assert on_the_loop(while_one_is_held()) == status
