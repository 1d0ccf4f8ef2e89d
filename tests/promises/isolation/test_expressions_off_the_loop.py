"""No expression and no compilation stops the event loop: other webhooks are answered meanwhile."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from dataclasses import replace

import pytest

from inbound_webhooks.errors import DefinitionUnusable, InvalidDefinition
from inbound_webhooks.event.request import InboundRequest
from inbound_webhooks.event.rules import compile_rules
from inbound_webhooks.monitoring.clock import utc_now
from inbound_webhooks.records.webhook import Draft, Webhook
from inbound_webhooks.webhooks.compiled import CompiledWebhook, CompiledWebhookCache, compile_webhook
from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.loop import new_receiver, on_the_loop
from tests.infrastructure.webhooks_builder import change_webhook, rows, store_webhook

COSTLY = "{{ [" + "body.x | tojson | sha256, " * 40 + "] | length }}"
BODY = b'{"x": [' + b"1," * 10_000 + b"1]}"
WEBHOOK = Webhook(id="a", created_at=utc_now(), updated_at=utc_now(), **vars(Draft(name="a", dag_id="a")))


# --- what runs where ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        {"mapping": {"p": "${Webhook::Body.a.b}", "q": "{{ body.items[0].id }}", "r": "constant"}},
        {"mapping": {"p": "${Webhook::Body}"}, "dedup": "${Webhook::Body.id}", "event_type": "{{ query.t }}"},
        {"mapping": {"p": "{{ 1 + 1 }}"}},
        {"response_template": '{"status": "ok"}'},
        {},
    ],
)
def test_paths_and_constants_stay_on_the_loop(fields):
    assert compile_rules(Draft(name="a", dag_id="a", **fields)).inline_bytes > 1_000


@pytest.mark.parametrize(
    "fields",
    [
        {"mapping": {"p": "{{ body.a | upper }}"}},
        {"mapping": {"p": "text ${Webhook::Body.a}"}},
        {"mapping": {"p": "{{ body[body.a] }}"}},
        {"mapping": {f"p{number}": "${Webhook::Headers}" for number in range(200)}},
        {"filter": "body.a == 1"},
        {"dedup": "{{ body.a ~ body.b }}"},
        {"event_type": "{{ body.a + 1 }}"},
        {"response_template": '{"a": ${Webhook::Body.a}}'},
    ],
)
def test_everything_else_runs_in_a_thread_even_without_a_body(fields):
    assert compile_rules(Draft(name="a", dag_id="a", **fields)).inline_bytes < 0


def test_many_copies_of_a_body_are_not_made_on_the_loop():
    one = compile_rules(Draft(name="a", dag_id="a", mapping={"p": "${Webhook::Body}"}))
    many = compile_rules(
        Draft(name="a", dag_id="a", mapping={f"p{number}": "${Webhook::Body}" for number in range(100)})
    )
    assert many.inline_bytes * 100 <= one.inline_bytes * 16


# --- the loop goes on -----------------------------------------------------------------------


@pytest.fixture
def hooks(sqlite_database):
    store_dag("orders")
    costly = {f"p{number}": COSTLY for number in range(8)}
    return store_webhook("costly", mapping=costly), store_webhook(
        "plain", mapping={"p": "${Webhook::Body.x}"}
    )


async def answered(
    receiver, hook, body: bytes, query: str = "", headers: int = 1, long_header: str = "1"
) -> int:
    from inbound_webhooks.receiver.admission import RequestHead

    peer = "192.0.2.7"
    head = RequestHead(
        method="POST", webhook_id=hook.id, token=hook.token, declared_length=len(body), source_ip=peer
    )
    request = InboundRequest(
        method="POST",
        query_string=query,
        headers=(("Content-Type", "application/json"),) * headers + (("X-Long", long_header),),
        body=body,
        source_ip=peer,
        received_at=utc_now(),
    )
    return (await receiver.receive(await receiver.admit(head), request)).status


def test_another_webhook_is_answered_while_the_worst_template_runs(hooks):
    """By the order in which they end: the costly request is admitted first."""
    costly, plain = hooks
    receiver, ended = new_receiver(), []

    async def note(name: str, hook, body: bytes) -> None:
        status = await answered(receiver, hook, body)
        ended.append((name, status))

    async def both() -> None:
        for hook in hooks:  # compiled, and their DAG is known
            await answered(receiver, hook, b'{"x": 1}')
        first = asyncio.ensure_future(note("costly", costly, BODY))
        while not receiver_is_judging(first):
            await asyncio.sleep(0)
        await note("plain", plain, b'{"x": 1}')
        await first

    on_the_loop(both())
    assert ended == [("plain", 202), ("costly", 422)]


def test_a_webhook_computes_a_quarter_of_the_time_at_most(hooks):
    """By its slots: each is held for three times as long as the decision has computed."""
    costly, plain = hooks
    receiver = new_receiver()

    async def story() -> list[int]:
        await answered(receiver, costly, BODY)
        await answered(receiver, plain, b'{"x": 1}')
        held = [receiver.slots_of_decisions(hook.id) for hook in hooks]
        while receiver.slots_of_decisions(costly.id):
            await asyncio.sleep(0.01)
        return held

    assert on_the_loop(story()) == [1, 0]


def test_the_response_to_a_repeated_event_takes_a_turn_as_well(sqlite_database):
    """By its slot: the response to the first event costs nothing, that to a repetition what it can."""
    store_dag("orders")
    repeated = store_webhook("repeated", dedup="${Webhook::Body.id}", mapping={"p": "1"})
    receiver, event = new_receiver(), b'{"id": 1, "x": [' + b"1," * 10_000 + b"1]}"
    assert on_the_loop(answered(receiver, repeated, event)) == 202
    (first,) = rows("delivery")
    template = '{% if delivery.id == "' + first.id + '" %}' + COSTLY + "{% endif %}"
    change_webhook(repeated.id, response_template=template, response_content_type="text/plain")

    async def story() -> tuple[int, int]:
        status = await answered(receiver, repeated, event)
        return status, receiver.slots_of_decisions(repeated.id)

    assert on_the_loop(story()) == (200, 1)
    assert len(rows("delivery")) == 1


def receiver_is_judging(task: asyncio.Task[None]) -> bool:
    """Whether the request waits for a thread."""
    return any(frame.f_code.co_name == "_in_turn" for frame in frames_of(task))


def frames_of(task: asyncio.Task[None]):
    coroutine = task.get_coro()
    while coroutine is not None and hasattr(coroutine, "cr_frame"):
        if coroutine.cr_frame is not None:
            yield coroutine.cr_frame
        coroutine = coroutine.cr_await


LONG = [
    {"query": "&".join(f"{number:x}=" for number in range(2_000))},
    {"headers": 200},
    {"long_header": "x" * 9_000},
    {"body": b'"' + b"x" * 40_000 + b'"'},
]


@pytest.mark.parametrize("long", LONG, ids=["query", "headers", "one header", "body"])
def test_what_is_long_is_looked_through_in_a_thread_even_for_a_plain_webhook(hooks, long):
    """Credentials are looked for in all of it."""
    assert on_the_loop(is_in_a_thread(hooks[1])) is False
    assert on_the_loop(is_in_a_thread(hooks[1], **long)) is True


def test_a_long_body_is_verified_in_a_thread(sqlite_database):
    """Also where its sender is a stranger, who gets no further."""
    store_dag("orders")
    hook = store_webhook("signed", preset="github", secrets={"signing": "s3cret"})
    assert on_the_loop(is_in_a_thread(hook)) is False
    assert on_the_loop(is_in_a_thread(hook, body=b'"' + b"x" * 40_000 + b'"')) is True


async def is_in_a_thread(hook, body: bytes = b"{}", **more) -> bool:
    """Whether a part of a request is computed in a thread."""
    receiver, seen = new_receiver(), False
    await answered(receiver, hook, b"{}")  # compiled, and its DAG is known
    task = asyncio.ensure_future(answered(receiver, hook, body, **more))
    while not task.done():
        seen = seen or receiver_is_judging(task)
        await asyncio.sleep(0)
    return seen


def test_an_api_server_gives_its_loop_the_interpreter_soon(sqlite_database, configure):
    """By what Python says: how long a thread keeps the interpreter, and what the collector leaves alone."""
    from inbound_webhooks.receiver.instance import forget_receiver
    from inbound_webhooks.rest import app

    configure(dispatcher_enabled=False)
    forget_receiver()

    async def look() -> tuple[float, int]:
        async with app.lifespan(app.app):
            return sys.getswitchinterval(), gc.get_freeze_count()

    interval = sys.getswitchinterval()
    try:
        sys.setswitchinterval(0.005)
        seconds, frozen = asyncio.run(look())
    finally:
        sys.setswitchinterval(interval)
        gc.unfreeze()
    assert seconds == pytest.approx(0.001)
    assert frozen > 100_000


# --- compiling ------------------------------------------------------------------------------


class Compiler:
    """Compiles, but only once the test lets it; remembers in which threads."""

    def __init__(self) -> None:
        self.may_end = threading.Event()
        self.threads: list[threading.Thread] = []

    def __call__(self, webhook: Webhook) -> CompiledWebhook:
        self.threads.append(threading.current_thread())
        self.may_end.wait(20)
        if webhook.name == "broken":
            raise InvalidDefinition("mapping", "it does not compile", "p")
        return compile_webhook(webhook)


def test_concurrent_misses_of_a_webhook_compile_it_once_and_in_a_thread():
    compiler = Compiler()
    cache = CompiledWebhookCache(compile=compiler)

    async def ask() -> tuple[int, list[CompiledWebhook]]:
        asking = [asyncio.ensure_future(cache.get(WEBHOOK)) for _ in range(50)]
        rounds = 0
        while not compiler.threads:
            await asyncio.sleep(0.001)
        for _ in range(100):  # the loop goes round while it compiles
            await asyncio.sleep(0)
            rounds += 1
        assert not any(task.done() for task in asking)
        compiler.may_end.set()
        return rounds, await asyncio.gather(*asking)

    rounds, made = asyncio.run(ask())
    assert rounds == 100
    assert len(compiler.threads) == 1
    assert compiler.threads[0] is not threading.current_thread()
    assert all(each is made[0] for each in made)


def test_a_cancelled_request_does_not_end_the_compilation_that_others_wait_for():
    compiler = Compiler()
    cache = CompiledWebhookCache(compile=compiler)

    async def ask() -> CompiledWebhook:
        first, second = (asyncio.ensure_future(cache.get(WEBHOOK)) for _ in range(2))
        await asyncio.sleep(0.01)
        first.cancel()
        compiler.may_end.set()
        return await second

    assert asyncio.run(ask()).webhook is WEBHOOK
    assert len(compiler.threads) == 1


def test_a_webhook_that_does_not_compile_is_tried_once_for_each_version():
    compiler = Compiler()
    compiler.may_end.set()
    cache = CompiledWebhookCache(compile=compiler)
    broken = replace(WEBHOOK, name="broken")

    async def ask() -> CompiledWebhook:
        for _ in range(3):
            with pytest.raises(DefinitionUnusable, match="it does not compile"):
                await cache.get(broken)
        return await cache.get(replace(broken, name="repaired", version=2))

    assert asyncio.run(ask()).webhook.name == "repaired"
    assert len(compiler.threads) == 2
