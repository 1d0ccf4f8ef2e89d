"""Any requests to a webhook with any routes, or for lists, with filters, keys and holds, against a model.

The model says in plain Python what the documentation says of lists, routes, deduplication and holds.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.webhooks_builder import ACTOR, Hook, rows, runs, store_webhook

LARGEST = 3
"""The DAG refuses larger numbers."""

NUMBERS = st.integers(0, LARGEST + 1)
"""Few, so that many events come again."""


@dataclass(frozen=True)
class Fields:
    """A webhook's settings; its events are numbers, and a number is always the same event."""

    at_least: int = 0
    knows_events: bool = False
    splits: bool = False
    is_enabled: bool = True

    def of(self, event: str) -> dict[str, Any]:
        """As they are stored; ``event`` is where the number of an event stands."""
        return {
            "filter": f"{event} >= {self.at_least}",
            "dedup": f"{{{{ {event} }}}}" if self.knows_events else None,
            "mapping": {"number": f"{{{{ {event} }}}}"},
        }

    def verdict(self, number: int) -> str:
        if number < self.at_least:
            return "filtered"
        return "refused" if number > LARGEST else "accepted"


@dataclass(frozen=True)
class Setup:
    """A webhook that splits lists itself, or one with routes."""

    source: Fields
    routes: tuple[Fields, ...] = ()
    only_first: bool = False

    @property
    def names(self) -> list[str]:
        return [f"route {place}" for place in range(len(self.routes))] or ["source"]


@dataclass
class Child:
    """An expected delivery of an event."""

    webhook: str
    number: int
    state: str
    item: int | None


@dataclass
class Request:
    """An expected delivery of a request, and the response."""

    state: str
    children: list[Child] = field(default_factory=list)


@dataclass
class Model:
    """What should become of requests; ``seen`` are the keys of each webhook's stored events."""

    setup: Setup
    stored: list[Request] = field(default_factory=list)
    seen: set[tuple[str, Any]] = field(default_factory=set)
    held: set[str] = field(default_factory=set)

    def receive(self, number: int, items: list[int]) -> tuple[int, dict[str, Any]]:
        """Status and body of the response, without the delivery's id."""
        if self.setup.routes:
            return self._routed(number, items)
        return self._listed(items)

    def _listed(self, items: list[int]) -> tuple[int, dict[str, Any]]:
        fields = self.setup.source
        verdicts = [fields.verdict(number) for number in items]
        counts = {name: verdicts.count(name) for name in ("accepted", "filtered", "refused")}
        if not counts["accepted"]:
            state = "refused" if counts["refused"] else "filtered"
            self.stored.append(Request(state))
            return (422, {}) if counts["refused"] else (200, {"status": "filtered"})
        # A list is known again as a whole if all of its items have keys; a refused one has none.
        key = ("source", tuple(items))
        if fields.knows_events and not counts["refused"]:
            if key in self.seen:
                return 202, {"status": "duplicate"}
            self.seen.add(key)
        children, repeated = self._children("source", fields, list(enumerate(items)))
        self.stored.append(Request("split", children))
        counts["accepted"] -= repeated
        status = "accepted" if counts["accepted"] else "duplicate"
        return 202, {"status": status, "items": counts | {"duplicates": repeated}}

    def _routed(self, number: int, items: list[int]) -> tuple[int, dict[str, Any]]:
        source = self.setup.source
        events = [self._events_of(route, number, items) for route in self.setup.routes]
        if number < source.at_least:
            events = [[] for _ in events]
        verdicts = [
            [route.verdict(each) for _, each in some]
            for route, some in zip(self.setup.routes, events, strict=True)
        ]
        matching = [place for place, some in enumerate(verdicts) if {"accepted", "refused"} & set(some)]
        if self.setup.only_first:
            matching = matching[:1]
        if not any("accepted" in verdicts[place] for place in matching) and matching:
            self.stored.append(Request("refused"))
            return 422, {}
        key = ("source", number)
        if source.knows_events:
            if key in self.seen:
                return (202 if matching else 200), {"status": "duplicate"}
            self.seen.add(key)
        if not matching:
            self.stored.append(Request("filtered"))
            return 200, {"status": "filtered"}
        children = []
        for place in matching:
            kept = [
                each
                for each, verdict in zip(events[place], verdicts[place], strict=True)
                if verdict != "filtered"
            ]
            children += self._children(self.setup.names[place], self.setup.routes[place], kept)[0]
        self.stored.append(Request("split", children))
        return 202, {"status": "accepted"}

    def _events_of(self, route: Fields, number: int, items: list[int]) -> list[tuple[int | None, int]]:
        if not route.is_enabled:
            return []
        return list(enumerate(items)) if route.splits else [(None, number)]

    def _children(
        self, name: str, fields: Fields, events: list[tuple[int | None, int]]
    ) -> tuple[list[Child], int]:
        """The children that are stored, and how many accepted ones are left out as known."""
        children, repeated = [], 0
        for item, number in events:
            verdict, key = fields.verdict(number), (name, number)
            has_key = fields.knows_events and verdict != "refused"
            if has_key and key in self.seen:
                repeated += verdict == "accepted"
                continue
            if has_key:
                self.seen.add(key)
            state = verdict if verdict != "accepted" else self._first_state(name)
            children.append(Child(name, number, state, item))
        return children, repeated

    def _first_state(self, name: str) -> str:
        return "held" if name in self.held else "accepted"

    def work(self) -> None:
        """All that is not on hold starts, and what waits on hold is held."""
        for child in (child for request in self.stored for child in request.children):
            if child.state in ("accepted", "held"):
                child.state = "held" if child.webhook in self.held else "dispatched"


FIELDS = st.builds(
    Fields,
    at_least=st.integers(0, 2),
    knows_events=st.booleans(),
    splits=st.booleans(),
    is_enabled=st.sampled_from([True, True, True, False]),
)
SETUPS = st.one_of(
    st.builds(Setup, source=st.builds(Fields, at_least=st.integers(0, 2), knows_events=st.booleans())),
    st.builds(
        Setup,
        source=st.builds(Fields, at_least=st.integers(0, 2), knows_events=st.booleans()),
        routes=st.lists(FIELDS, min_size=1, max_size=3).map(tuple),
        only_first=st.booleans(),
    ),
)
STEPS = st.lists(
    st.one_of(
        *[st.tuples(st.just("receive"), NUMBERS, st.lists(NUMBERS, max_size=4))] * 3,
        st.tuples(st.sampled_from(["hold", "release"]), st.integers(0, 2)),
        st.tuples(st.just("work")),
    ),
    max_size=10,
)


class Scenario:
    """The same requests for the model and for the endpoint, the job of holds and the dispatcher."""

    def __init__(self, endpoint, setup: Setup) -> None:
        self.endpoint, self.model = endpoint, Model(setup)
        self.hooks = store_setup(setup)

    def play(self, steps: list[tuple[Any, ...]]) -> None:
        for name, *arguments in steps:
            getattr(self, name)(*arguments)
            assert stored() == without_number(self.model.stored)
        self.work()
        for place in range(len(self.model.setup.names)):
            self.release(place)
        self.work()

    def receive(self, number: int, items: list[int]) -> None:
        expected = self.model.receive(number, items)
        body = json.dumps({"number": number, "list": items}).encode()
        reply = self.endpoint.post(self.hooks["source"].path, body)
        found = {name: reply.json.get(name) for name in expected[1]}
        assert (reply.status, found) == expected

    def hold(self, place: int) -> None:
        from inbound_webhooks.webhooks import hold

        name = self._name(place)
        self.model.held.add(name)
        hold.hold(self.hooks[name].id, actor=ACTOR)

    def release(self, place: int) -> None:
        """Where it is on hold; its deliveries go on before others come."""
        from inbound_webhooks.webhooks import hold

        name = self._name(place)
        if name in self.model.held:
            self.model.held.remove(name)
            hold.release(self.hooks[name].id, actor=ACTOR)
            self.work()

    def work(self) -> None:
        from inbound_webhooks.dispatch.dispatcher import Dispatcher
        from inbound_webhooks.dispatch.holds import Holds
        from inbound_webhooks.settings import Settings

        self.model.work()
        # Held back or released, then the end of the release.
        for _ in range(2):
            Holds().look()
        dispatcher = Dispatcher(Settings())
        while dispatcher.dispatch_due():
            pass

    def _name(self, place: int) -> str:
        names = self.model.setup.names
        return names[place % len(names)]


def store_setup(setup: Setup) -> dict[str, Hook]:
    """Forget what there was, and store the webhooks."""
    from airflow import settings as airflow_settings

    from inbound_webhooks.storage import tables

    with airflow_settings.engine.begin() as connection:
        for table in (tables.delivery, tables.token, tables.webhook):
            connection.execute(table.delete())
    if not setup.routes:
        return {"source": store_webhook("source", each="body.list", **setup.source.of("item"))}
    given = setup.source.of("body.number") | {"mapping": {}}
    source = store_webhook("source", dag_id="", routes="first" if setup.only_first else "all", **given)
    return {"source": source} | {
        name: store_route(name, source, route) for name, route in zip(setup.names, setup.routes, strict=True)
    }


def store_route(name: str, source: Hook, route: Fields) -> Hook:
    from inbound_webhooks.webhooks import service

    event = "item" if route.splits else "body.number"
    each = {"each": "body.list"} if route.splits else {}
    hook = store_webhook(name, source=source.id, **each, **route.of(event))
    if not route.is_enabled:
        service.set_enabled(hook.id, False, actor=ACTOR)
    return hook


def stored() -> list[Request]:
    """What the database holds, in the form of the model."""
    found = rows("delivery")
    children: dict[str, list[Any]] = {}
    for row in found:
        if row.parent_id is not None:
            children.setdefault(row.parent_id, []).append(row)
    return [
        Request(row.state, [child_of(each) for each in in_order(children.get(row.id, []))])
        for row in found
        if row.parent_id is None
    ]


def in_order(children: list[Any]) -> list[Any]:
    ordered = sorted(children, key=lambda row: row.child_index)
    assert all(one.child_index != other.child_index for one, other in pairwise(ordered))
    return ordered


def child_of(row: Any) -> Child:
    return Child(
        row.webhook_name,
        -1 if row.conf is None else json.loads(row.conf)["number"],
        row.state,
        row.item_index,
    )


def without_number(requests: list[Request]) -> list[Request]:
    """What was filtered or refused has no conf, and so no number."""
    for child in (child for request in requests for child in request.children):
        if child.state in ("filtered", "refused"):
            child.number = -1
    return requests


@pytest.fixture
def endpoint(sqlite_database):
    from airflow.sdk import Param

    from tests.infrastructure.asgi_endpoint import AsgiEndpoint

    store_dag("orders", params={"number": Param(0, type="integer", maximum=LARGEST)})
    return AsgiEndpoint()


@settings(
    max_examples=settings.default.max_examples // 4,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(setup=SETUPS, steps=STEPS)
@example(setup=Setup(Fields(), (Fields(), Fields()), only_first=True), steps=[("receive", 2, [])])
@example(setup=Setup(Fields()), steps=[("hold", 0), ("receive", 1, [1, 2]), ("work",), ("release", 0)])
@example(
    setup=Setup(Fields(), (Fields(knows_events=True, splits=True), Fields())),
    steps=[("hold", 1), ("receive", 1, [1, 1, 2]), ("receive", 1, [2]), ("work",)],
)
def test_each_event_of_each_request_becomes_what_the_model_says(endpoint, setup, steps):
    before = {run.run_id for run in runs()}
    scenario = Scenario(endpoint, setup)
    scenario.play(steps)
    assert stored() == without_number(scenario.model.stored)
    started = {
        f"webhook__{row.parent_id}__{row.child_index}": json.loads(row.conf)
        for row in rows("delivery")
        if row.state == "dispatched"
    }
    assert {run.run_id: run.conf for run in runs() if run.run_id not in before} == started
