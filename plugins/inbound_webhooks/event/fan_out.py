"""What becomes of a request that is several events: the items of a list, or one event for several webhooks.

Each event for each webhook is judged on its own, and becomes a child of the request's delivery. All of them
share the request's budget of expressions, and limits on their number and on what their confs hold together:
a sender chooses how long a list is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime

import msgspec
from msgspec.structs import replace

from inbound_webhooks.errors import (
    ConfsTooLarge,
    ContentRefused,
    ExpressionFailed,
    ListTooLong,
    NoneAccepted,
    RequestError,
)
from inbound_webhooks.event import judge, responses
from inbound_webhooks.event.conf.mapping import MAX_CONF_CHARS
from inbound_webhooks.event.conf.parameter import Parameter
from inbound_webhooks.event.content_encoding import inflate
from inbound_webhooks.event.data_sources import DataSources
from inbound_webhooks.event.expressions.budget import CALL, ITEM, charging
from inbound_webhooks.event.judge import Child, Outcome, RouteResult, Secrets, Verdict
from inbound_webhooks.event.request import InboundRequest
from inbound_webhooks.event.response import Response
from inbound_webhooks.event.responses import ItemCounts
from inbound_webhooks.event.rules import Rules
from inbound_webhooks.event.sizes import MAX_CONF_ITEMS, MAX_ITEMS_PER_REQUEST
from inbound_webhooks.event.values import Missing, unwrapped

MAX_SLOWLY_CHECKED_ITEMS = 50
"""Items whose confs may be checked in a process, which takes up to 0.1 s for each."""

MAX_NAMED_ERRORS = 10
"""Refused items that a response and an error name."""

EMPTY = "The list is empty."
ALL_FILTERED = "The filter excludes every item of the list."
NO_ROUTE = "No route takes it."
DISABLED = "disabled"
NOT_FIRST = "not first"
"""States of a route: it is disabled; another one came first."""


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook that may take an event; ``params`` is None while Airflow does not know its DAG.

    ``is_own``: it is the webhook that received the request, and has examined the event already.
    """

    webhook_id: str
    name: str
    rules: Rules
    params: Mapping[str, Parameter] | None = None
    params_version: str | None = None
    is_enabled: bool = True
    is_own: bool = False
    is_checked_slowly: bool = False


class FanOutLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits on all events of a request together."""

    max_items: int = MAX_ITEMS_PER_REQUEST
    max_conf_items: int = MAX_CONF_ITEMS


def decide_as_received(
    rules: Rules,
    request: InboundRequest,
    targets: Sequence[Target],
    *,
    delivery_id: str,
    new_id: Callable[[], str],
    max_content_bytes: int,
    secrets: Secrets,
    limits: FanOutLimits,
    first_match: bool = False,
) -> Verdict:
    """Decompress the body, and determine what each event of the content starts.

    :param rules: of the webhook that received the request
    :param targets: the webhook itself where it splits a list, else all that may take the event
    :param new_id: makes the ids of the children
    :param first_match: whether only the first target that takes the event gets it
    """
    if request.method != "POST":
        return judge.decide(rules, request, b"", None, delivery_id=delivery_id, secrets=secrets)
    content, encoding = request.body, request.combined_header("Content-Encoding")
    try:
        if encoding:
            content = inflate(content, encoding, limit_bytes=max_content_bytes)
        if rules.handshake is not None and not rules.handshake.before_verification:
            reply = judge.handshake_verdict(rules.handshake, request, content, secrets)
            if reply is not None:
                return reply
        if rules.body_keys:
            content = rules.redacted(content)
        sources = rules.sources(request, content, delivery_id)
        events = _Events(new_id, limits, request.received_at)
        if rules.each is not None:
            return _of_list(events, targets[0], rules, sources, delivery_id)
        return _of_routes(events, targets, rules, sources, delivery_id, first_match=first_match)
    except ContentRefused as error:
        return judge.refused(rules, error, delivery_id)
    except RequestError as error:
        return judge.rejected(error)


def decide_child(
    target: Target,
    request: InboundRequest,
    item_index: int | None,
    *,
    new_id: Callable[[], str],
    max_content_bytes: int,
    limits: FanOutLimits,
) -> Verdict:
    """Determine what one event of a request starts.

    :param item_index: its place in the target's list; None for the whole request
    """
    content, encoding = request.body, request.combined_header("Content-Encoding")
    delivery_id = new_id()
    try:
        if encoding:
            content = inflate(content, encoding, limit_bytes=max_content_bytes)
        sources = target.rules.sources(request, content, delivery_id)
        if item_index is not None:
            items = items_of(target.rules, sources)
            if item_index >= len(items):
                raise ExpressionFailed(f"The list has no item {item_index} any more.")
            sources.item = items[item_index]
        return _Events(new_id, limits, request.received_at).judged(target, sources)
    except ContentRefused as error:
        return judge.refused(target.rules, error, delivery_id)
    except RequestError as error:
        return judge.rejected(error)


def with_duplicates(rules: Rules, verdict: Verdict, repeated_ids: Collection[str]) -> Verdict:
    """The verdict once it is known which of the children repeat earlier events."""
    if verdict.items is None:
        return verdict
    repeated = sum(
        1
        for child in verdict.children
        if child.verdict.outcome == Outcome.ACCEPTED and child.verdict.delivery_id in repeated_ids
    )
    if not repeated:
        return verdict
    items = replace(
        verdict.items,
        accepted=verdict.items.accepted - repeated,
        duplicates=verdict.items.duplicates + repeated,
    )
    response: Response = verdict.response
    if rules.response is None and response.status not in responses.WITHOUT_BODY:
        body = responses.of_items(response.status, verdict.delivery_id, items).body
        response = replace(response, body=body)
    return replace(verdict, items=items, response=response)


class _Events:
    """The events of a request, as they are judged; raises where they exceed a limit together."""

    def __init__(self, new_id: Callable[[], str], limits: FanOutLimits, received_at: datetime) -> None:
        self._new_id = new_id
        self._received_at = received_at
        self._limits = limits
        self._chars_left = MAX_CONF_CHARS
        self._number = 0
        self.children: list[Child] = []

    def add(self, target: Target, sources: DataSources, number: int) -> list[Child]:
        """Judge the events that a request is for one webhook.

        :raises ContentRefused: there is no list where one is expected, or a limit is exceeded
        """
        found = [
            self._child(target, number, item_index, event)
            for item_index, event in self._events(target, sources)
        ]
        self.children += found
        return found

    def refuse(self, target: Target, error: ContentRefused, number: int) -> Child:
        """The child of a webhook that cannot use the request at all."""
        verdict = judge.refused(target.rules, error, self._new_id())
        child = Child(target=number, index=self._next(), item_index=None, verdict=verdict)
        self.children.append(child)
        return child

    def _events(self, target: Target, sources: DataSources) -> Iterator[tuple[int | None, DataSources]]:
        if target.rules.each is None:
            yield None, sources.of_child(self._new_id(), target.name)
            return
        items = items_of(target.rules, sources)
        most = self._limits.max_items
        if target.is_checked_slowly:
            most = min(most, MAX_SLOWLY_CHECKED_ITEMS)
        if self._number + len(items) > most:
            raise ListTooLong(len(items), most)
        for index, item in enumerate(items):
            # Paths are not charged by themselves: a long list of them must not be free.
            sources.budget.charge(ITEM + CALL * (1 + len(target.rules.mapping.lines)))
            yield index, sources.of_child(self._new_id(), target.name, item)

    def _child(self, target: Target, number: int, item_index: int | None, sources: DataSources) -> Child:
        verdict = self.judged(target, sources)
        if verdict.conf is not None:
            self._chars_left -= len(verdict.conf)
            if self._chars_left < 0:
                raise ConfsTooLarge(MAX_CONF_CHARS)
        return Child(target=number, index=self._next(), item_index=item_index, verdict=verdict)

    def _next(self) -> int:
        self._number += 1
        return self._number - 1

    def judged(self, target: Target, sources: DataSources) -> Verdict:
        """What becomes of one event; its response is that of the request."""
        rules, key, parts = target.rules, None, judge.NO_PARTS
        delivery_id, event_type = sources.delivery["id"], sources.event_type
        try:
            if not target.is_own:
                if rules.event_type is not None:
                    event_type = sources.event_type = judge.event_type_of(rules, sources)
                key = None if rules.deduplication_key is None else judge.deduplication_key_of(rules, sources)
            if not target.is_own and rules.filter is not None and not rules.filter(sources):
                outcome = Outcome.FILTERED
            else:
                most = self._limits.max_conf_items
                parts = judge.parts_of(rules, sources, target.params, self._received_at, max_items=most)
                outcome = Outcome.ACCEPTED
        except ContentRefused as error:
            return judge.refused(rules, error, delivery_id, event_type)
        return Verdict(
            outcome=outcome,
            response=NO_RESPONSE,
            delivery_id=delivery_id,
            params_version=None if parts.conf is None else target.params_version,
            deduplication_key=key,
            event_type=event_type or None,
            **msgspec.structs.asdict(parts),
        )


NO_RESPONSE = Response(202)
"""Of a child: the request has one response for all."""


def items_of(rules: Rules, sources: DataSources) -> list[object]:
    """The items of a webhook's list, as JSON values.

    :raises ContentRefused: the expression yields no list
    """
    assert rules.each is not None
    with charging(sources.budget):
        value = unwrapped(rules.each.evaluate(sources))
    if isinstance(value, list):
        return value
    found = "nothing" if isinstance(value, Missing) or value is None else _KINDS.get(type(value), "a value")
    raise ExpressionFailed(f"each: the expression yields {found} instead of a list.")


_KINDS = {dict: "an object", str: "a text", bool: "a boolean", int: "a number", float: "a number"}


def _of_list(
    events: _Events, target: Target, rules: Rules, sources: DataSources, delivery_id: str
) -> Verdict:
    children = tuple(events.add(target, sources, 0))
    items = counted(children)
    keys = [child.verdict.deduplication_key for child in children]
    types = {child.verdict.event_type for child in children}
    event_type = types.pop() if len(types) == 1 else None
    if items.accepted:
        return Verdict(
            outcome=Outcome.SPLIT,
            response=responses.split(rules, sources, delivery_id, items),
            delivery_id=delivery_id,
            # A list that is sent again as a whole repeats a delivery; it needs no row of its own.
            deduplication_key=_key_of_list(keys),
            event_type=event_type,
            children=children,
            items=items,
        )
    if items.refused:
        return _none_accepted(rules, children, delivery_id, items, event_type=event_type)
    reason = ALL_FILTERED if children else EMPTY
    return _filtered(
        rules, sources, delivery_id, reason, event_type=event_type, children=children, items=items
    )


def _key_of_list(keys: Sequence[str | None]) -> str | None:
    """The key of a list whose items all have keys."""
    found = [key for key in keys if key is not None]
    if len(found) < len(keys):
        return None
    return hashlib.sha256(("list " + " ".join(found)).encode()).hexdigest()


def _of_routes(
    events: _Events,
    targets: Sequence[Target],
    rules: Rules,
    sources: DataSources,
    delivery_id: str,
    *,
    first_match: bool,
) -> Verdict:
    event_type = ""
    if rules.event_type is not None:
        event_type = sources.event_type = judge.event_type_of(rules, sources)
    key = None if rules.deduplication_key is None else judge.deduplication_key_of(rules, sources)
    if rules.filter is not None and not rules.filter(sources):
        return _filtered(rules, sources, delivery_id, "", event_type=event_type or None, key=key)
    results, has_matched = [], False
    for number, target in enumerate(targets):
        result = _route(events, target, sources, number, is_open=not (first_match and has_matched))
        has_matched = has_matched or result.state in (Outcome.ACCEPTED, Outcome.REFUSED)
        results.append(result)
    return _of_results(events.children, results, rules, sources, delivery_id, key=key)


def _route(
    events: _Events, target: Target, sources: DataSources, number: int, *, is_open: bool
) -> RouteResult:
    """What one webhook makes of an event."""

    def result(state: str, reason: str = "", items: ItemCounts | None = None) -> RouteResult:
        return RouteResult(target.webhook_id, target.name, state, reason, items)

    if not target.is_enabled:
        return result(DISABLED, "The webhook is disabled.")
    if not is_open:
        return result(NOT_FIRST, "A route before it has taken the event.")
    try:
        children = events.add(target, sources, number)
    except (ListTooLong, ExpressionFailed) as error:
        events.refuse(target, error, number)
        return result(Outcome.REFUSED, error.message)
    items = counted(children)
    shown = items if target.rules.each is not None else None
    if items.accepted:
        return result(Outcome.ACCEPTED, items=shown)
    if items.refused:
        return result(Outcome.REFUSED, items.errors[0][1], shown)
    return result(Outcome.FILTERED, "" if children else EMPTY, shown)


def _of_results(
    events: Sequence[Child],
    results: Sequence[RouteResult],
    rules: Rules,
    sources: DataSources,
    delivery_id: str,
    *,
    key: str | None,
) -> Verdict:
    # Of what no route takes, nothing is left to do: the line of its route says why.
    children = tuple(child for child in events if child.verdict.outcome != Outcome.FILTERED)
    items, event_type = counted(children), sources.event_type or None
    if items.accepted:
        return Verdict(
            outcome=Outcome.SPLIT,
            response=responses.split(rules, sources, delivery_id, None),
            delivery_id=delivery_id,
            deduplication_key=key,
            event_type=event_type,
            children=children,
            routes=tuple(results),
        )
    if items.refused:
        verdict = _none_accepted(rules, children, delivery_id, None, event_type=event_type)
    else:
        verdict = _filtered(rules, sources, delivery_id, NO_ROUTE, event_type=event_type, key=key)
    return replace(verdict, routes=tuple(results))


def _none_accepted(
    rules: Rules,
    children: Sequence[Child],
    delivery_id: str,
    items: ItemCounts | None,
    *,
    event_type: str | None,
) -> Verdict:
    refused = [child for child in children if child.verdict.error is not None]
    first = refused[0].verdict.error
    assert isinstance(first, ContentRefused)
    error: ContentRefused = first
    if items is not None or len(refused) > 1:
        what = "items of the list" if items is not None else "routes"
        error = NoneAccepted(f"None of the {what} can be used. The first: {first.message}")
    verdict = judge.refused(rules, error, delivery_id, event_type or "")
    if items is not None:
        response = responses.refused(error, rules.invalid_status, delivery_id, items)
        verdict = replace(verdict, response=response)
    return replace(verdict, children=tuple(children), items=items)


def _filtered(
    rules: Rules,
    sources: DataSources,
    delivery_id: str,
    reason: str,
    *,
    event_type: str | None = None,
    key: str | None = None,
    children: tuple[Child, ...] = (),
    items: ItemCounts | None = None,
) -> Verdict:
    return Verdict(
        outcome=Outcome.FILTERED,
        response=responses.filtered(rules, sources, delivery_id),
        delivery_id=delivery_id,
        deduplication_key=key,
        event_type=event_type,
        reason=reason,
        children=children,
        items=items,
    )


def counted(children: Sequence[Child]) -> ItemCounts:
    """The children by what becomes of them."""
    outcomes = [child.verdict.outcome for child in children]
    errors = [
        (child.index if child.item_index is None else child.item_index, child.verdict.error.message)
        for child in children
        if child.verdict.error is not None
    ]
    return ItemCounts(
        accepted=outcomes.count(Outcome.ACCEPTED),
        filtered=outcomes.count(Outcome.FILTERED),
        refused=outcomes.count(Outcome.REFUSED),
        errors=tuple(errors[:MAX_NAMED_ERRORS]),
    )
