"""A request that a webhook accepts: the sender's event, with a value for each path that is read."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any, Protocol
from urllib.parse import urlencode

from inbound_webhooks.errors import TemplateRefused
from inbound_webhooks.event.conf.conversion import convert
from inbound_webhooks.event.conf.parameter import Parameter
from inbound_webhooks.event.expressions.engine import parse
from inbound_webhooks.event.expressions.syntax import EVERY_SOURCE
from inbound_webhooks.event.multidict import MultiDict
from inbound_webhooks.event.sampling.events import FORM_TYPE, SampleEvent, SampleRequest
from inbound_webhooks.event.sampling.examples import NO_EXAMPLE, example_of
from inbound_webhooks.event.sampling.reads import ANY, Decoding, Read, in_braces, reads_of, reads_of_condition
from inbound_webhooks.event.values import Missing, Path, Step, follow

MAX_INDEX = 20
"""The largest index of a list that is filled up for a path."""

MAX_READS = 1_000


class Definition(Protocol):
    """The fields of a webhook whose expressions read a request."""

    @property
    def mapping(self) -> Mapping[str, str]: ...
    @property
    def response_template(self) -> str | None: ...
    @property
    def event_type(self) -> str | None: ...
    @property
    def filter(self) -> str | None: ...
    @property
    def dedup(self) -> str | None: ...
    @property
    def each(self) -> str | None: ...


def build_sample(
    definition: Definition,
    params: Mapping[str, Parameter],
    event: SampleEvent | None = None,
    *,
    fresh: str,
    offers_names: bool = False,
) -> SampleRequest:
    """A request that the webhook accepts as far as its expressions and the DAG's params tell.

    :param params: the DAG's params; empty while Airflow does not know the DAG
    :param event: what the sender sends; None for any sender
    :param fresh: a text that no other sample has; it becomes the event's id where one path is its key
    :param offers_names: with a field for each param that has no expression yet, also beside others that have
    :raises TooBusy: a slow check of a param has to wait for too many others
    """
    if event is None and (offers_names or not definition.mapping):
        event = _named_as_params(definition, params)
    of_list = _only_path(in_braces(definition.each)) if definition.each else None
    sample = _Sample(event, of_list)
    _add_mapping(sample, definition, params)
    event_type = _only_path(definition.event_type)
    for read in _others(definition):
        if read.source == "delivery" and read.steps in (("event_type",), (("event_type",),)) and event_type:
            read = event_type._replace(wish=read.wish)
        sample.add(read)
    sample.add(Read("item", ()))
    key = _only_path(definition.dedup)
    if key is not None:
        sample.renew(key, fresh)
    return sample.request()


def _named_as_params(definition: Definition, params: Mapping[str, Parameter]) -> SampleEvent | None:
    """Nothing says what the sender sends: fields with the params' names are the easiest to map."""
    open_names = [name for name in params if not reads_of(definition.mapping.get(name, ""))]
    made = {name: example_of(params[name]) for name in open_names}
    named = {name: value for name, value in made.items() if value is not NO_EXAMPLE}
    if not named and definition.mapping:
        return None
    return SampleEvent(body=named or {"example": True})


def _add_mapping(sample: _Sample, definition: Definition, params: Mapping[str, Parameter]) -> None:
    for name, source in definition.mapping.items():
        parameter = params.get(name)
        path = _only_path(source)
        if path is not None and parameter is not None:
            sample.add_for(path, parameter)
        else:
            for read in reads_of(source)[:MAX_READS]:
                sample.add(read)


def _others(definition: Definition) -> Iterator[Read]:
    if definition.filter:
        yield from reads_of_condition(definition.filter)[:MAX_READS]
    for source in (definition.event_type, definition.dedup, definition.response_template):
        if source:
            yield from reads_of(source)[:MAX_READS]


def _only_path(source: str | None) -> Read | None:
    """The path that an expression is, if it is nothing else."""
    reads = reads_of(source) if source else []
    if source is None or len(reads) != 1 or reads[0].wish is not ANY or reads[0].is_optional:
        return None
    try:
        parsed = parse(source, sources=EVERY_SOURCE)
    except TemplateRefused:
        return None
    return reads[0] if parsed.whole_expression is not None else None


class _Sample:
    """A request that grows with each path that is added."""

    def __init__(self, event: SampleEvent | None, of_list: Read | None = None) -> None:
        self._list = of_list
        self._has_event = event is not None
        self._event = event or SampleEvent()
        self._body = deepcopy(self._event.body)
        self._headers = dict(self._event.headers)
        self._query = dict(self._event.query)

    def add(self, read: Read) -> None:
        """Give a path a value, unless it has one that will do."""
        held = self._held(read)
        if isinstance(held, Missing) and read.is_optional and (self._has_event or read.wish is False):
            return
        if not isinstance(held, Missing) and (read.wish is ANY or held == read.wish):
            return
        # An event of the sender's keeps what it has; a wish of the filter is worth changing it.
        names = [_key(step) for step in read.steps if not isinstance(step, (int, Decoding))]
        made_up = f"example {names[-1] if names else 'value'}"
        self._put(read, made_up if read.wish is ANY else read.wish)

    def add_for(self, read: Read, parameter: Parameter) -> None:
        """Give a path a value that a param accepts."""
        held = self._held(read)
        if not isinstance(held, Missing):
            converted = convert(held, parameter.types)
            if isinstance(converted, Missing) or parameter.refusal(converted) is None:
                return
        value = example_of(parameter)
        if value is not NO_EXAMPLE:
            self._put(read, value)

    def renew(self, read: Read, fresh: str) -> None:
        """Give the event another key; numbers stay."""
        held = self._held(read)
        if isinstance(held, (str, Missing)):
            self._put(read, fresh)

    def request(self) -> SampleRequest:
        """The request as text."""
        headers = (("Content-Type", self._event.content_type), *self._headers.items())
        if self._event.content_type.startswith(FORM_TYPE):
            body = urlencode({name: _as_text(value) for name, value in self._body.items()})
        else:
            body = json.dumps(self._body, indent=2, ensure_ascii=False)
        return SampleRequest(body, headers, urlencode(self._query))

    def _located(self, read: Read) -> Read:
        """What reads an event of a list reads the first item of that list."""
        if read.source != "item" or self._list is None:
            return read
        return read._replace(source=self._list.source, steps=(*self._list.steps, 0, *read.steps))

    def _held(self, read: Read) -> Any:
        read = self._located(read)
        places: dict[str, Any] = {"body": self._body, "query": self._query}
        if read.source == "headers":
            place: Any = MultiDict(self._headers.items(), ignore_case=True)
        else:
            place = places.get(read.source)
        for steps, decoding in _decoded_parts(read.steps):
            place = follow(place, Path(steps))
            if decoding is not None:
                place = place if not isinstance(place, str) else _decode(place, decoding)
        return place

    def _put(self, read: Read, value: Any) -> None:
        read = self._located(read)
        if read.source == "body":
            self._body = _with_value(self._body, list(read.steps), value)
        elif read.source in ("headers", "query") and read.steps:
            # Headers and queries have texts; the next step could only be an index.
            name = _key(read.steps[0])
            fields = self._headers if read.source == "headers" else self._query
            known = next((one for one in fields if one.lower() == name.lower()), name)
            text = _as_text(value)
            if read.source == "headers":
                text = text.encode("ascii", "replace").decode().replace("\r", " ").replace("\n", " ")
            fields[known] = text


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def _decoded_parts(
    steps: tuple[Step | Decoding, ...],
) -> Iterator[tuple[tuple[Step, ...], Decoding | None]]:
    """The steps between two decodings."""
    part: list[Step] = []
    for step in steps:
        if isinstance(step, Decoding):
            yield tuple(part), step
            part = []
        else:
            part.append(step)
    yield tuple(part), None


def _decode(text: str, decoding: Decoding) -> Any:
    try:
        if decoding.filter == "fromjson":
            return json.loads(text)
        return base64.b64decode(text).decode()
    except (ValueError, RecursionError):
        return Missing(name="undecodable")


def _encode(value: Any, decoding: Decoding) -> str:
    if decoding.filter == "fromjson":
        return json.dumps(value, ensure_ascii=False)
    return base64.b64encode(_as_text(value).encode("utf-8", "surrogatepass")).decode()


def _with_value(container: Any, steps: list[Step | Decoding], value: Any) -> Any:
    """The container with a value at a path; what stands in the way of the path is replaced."""
    if not steps:
        return value
    step, *rest = steps
    if isinstance(step, Decoding):
        # A body of another type than JSON is kept as the value of its text.
        held = _decode(container, step) if isinstance(container, str) else container
        inner = _with_value(None if isinstance(held, Missing) else held, rest, value)
        return inner if isinstance(container, (dict, list)) else _encode(inner, step)
    if isinstance(step, int):
        items = list(container) if isinstance(container, list) else []
        index = min(step, MAX_INDEX) if step >= 0 else max(len(items) + step, 0)
        items += [None] * (index + 1 - len(items))
        items[index] = _with_value(items[index], rest, value)
        return items
    key = _key(step)
    fields = dict(container) if isinstance(container, dict) else {}
    if isinstance(container, list) and key.isdecimal() and len(key) < 3:
        return _with_value(container, [int(key), *rest], value)
    fields[key] = _with_value(fields.get(key), rest, value)
    return fields


def _key(step: Step | Decoding) -> str:
    return str(step[0]) if isinstance(step, tuple) else str(step)
