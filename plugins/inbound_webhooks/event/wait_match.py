"""What a task compares the events of a webhook with: values at paths, or a condition.

Values are compared as the text that a parameter of type string gets: 1 equals "1", true equals "true".
So one look-up by a hash finds the waits of an event, however many there are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Annotated, Any

import msgspec

from inbound_webhooks.errors import RequestError, TemplateRefused
from inbound_webhooks.event import json_text
from inbound_webhooks.event.data_sources import DataSources
from inbound_webhooks.event.expressions.bare_path import expression_meant
from inbound_webhooks.event.expressions.budget import Budget, charging
from inbound_webhooks.event.expressions.engine import (
    Condition,
    Expression,
    compile_condition,
    compile_expression,
)
from inbound_webhooks.event.task_wait import AwareTime, HexOfId, StoredInXCom
from inbound_webhooks.event.values import to_text

MAX_PATHS = 10
MAX_PATH_CHARS = 500
MAX_VALUE_CHARS = 500
MAX_LOOK_BACK = timedelta(days=1)

REFUSED_KEY = "refused"
"""Key of the event by which a task is resumed whose wait cannot be registered."""

_Path = Annotated[str, msgspec.Meta(max_length=MAX_PATH_CHARS)]
_Value = Annotated[str, msgspec.Meta(max_length=MAX_VALUE_CHARS)]


class MatchRegistration(StoredInXCom, frozen=True, kw_only=True):
    """What a task leaves of its wait for an event of a webhook, instead of a token.

    ``match`` is path -> value, as :func:`canonical` writes them; without it, ``match_expression`` decides.
    """

    wait_id: HexOfId
    created_at: AwareTime
    deadline: AwareTime
    try_number: int | None = None
    webhook: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    match: Annotated[dict[_Path, _Value], msgspec.Meta(max_length=MAX_PATHS)] = {}
    match_expression: str | None = None
    look_back_seconds: Annotated[float, msgspec.Meta(ge=0, le=MAX_LOOK_BACK.total_seconds())] = 0
    broadcast: bool = False
    result: str | None = None
    fail_when: str | None = None

    @property
    def counts_from(self) -> datetime:
        """Events that were received before that do not count."""
        return self.created_at - timedelta(seconds=self.look_back_seconds)

    @property
    def key(self) -> str:
        """The hash by which an event finds it."""
        return match_key(self.match) if self.match else condition_key(self.match_expression or "")


def canonical(match: Any) -> dict[str, str]:
    """Path -> value as they are stored and compared, in the order of the paths.

    :raises ValueError: a path is none, or a value cannot be compared; the message is a sentence
    """
    if not isinstance(match, Mapping) or not 0 < len(match) <= MAX_PATHS:
        raise ValueError(f"match must name 1 to {MAX_PATHS} paths, such as 'body.data.runId'.")
    written = {path_source(path): _value(path, value) for path, value in match.items()}
    return dict(sorted(written.items()))


def path_source(path: Any) -> str:
    """The expression of a path such as ``body.data.runId``.

    :raises ValueError: it is no path; the message is a sentence
    """
    text = path.strip() if isinstance(path, str) else ""
    source = text if text.startswith("${") else expression_meant(text) or ""
    try:
        is_path = 0 < len(source) <= MAX_PATH_CHARS and _expression(source).is_path
    except TemplateRefused as error:
        raise ValueError(f"The path {path!r} of match: {error.message}") from None
    if not is_path:
        raise ValueError(
            f"{path!r} is no path of an event. Write match={{'body.data.runId': …}}, "
            "with body, headers, query or delivery in front."
        )
    return source


def _value(path: Any, value: Any) -> str:
    text = compared(value)
    if text is None:
        raise ValueError(f"The value of {path!r} in match must be a text, a number or a boolean.")
    if text in ("", "None"):
        # What Jinja makes of an XCom that does not exist: no event has it, and the task would only time out.
        raise ValueError(f"The value of {path!r} in match is {text!r}: the template found nothing.")
    if len(text) > MAX_VALUE_CHARS:
        raise ValueError(f"The value of {path!r} in match is longer than {MAX_VALUE_CHARS} characters.")
    return text


def compared(value: Any) -> str | None:
    """The text as which a value is compared; None for a missing one, null, a list and an object."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, (int, float)):
        return to_text(value)
    if not isinstance(value, str):
        return None
    # As Jinja writes booleans.
    return value.lower() if value in ("True", "False") else str(value)


def match_key(match: Mapping[str, str]) -> str:
    """The hash of paths and values, SHA-256 in hex."""
    return _hashed(sorted(match.items()))


def condition_key(source: str) -> str:
    """The hash of a condition; no paths and values have the same one."""
    return _hashed(source)


def _hashed(value: Any) -> str:
    return hashlib.sha256(json_text.dump(value).encode("utf-8", "surrogatepass")).hexdigest()


class Comparison:
    """What the waits of one webhook compare its events with.

    :param paths: each distinct list of paths
    :param conditions: each distinct condition
    """

    def __init__(self, paths: Iterable[Collection[str]], conditions: Iterable[str], *, work: int) -> None:
        self._paths = [tuple(each) for each in paths]
        self._conditions = list(conditions)
        # Each condition has its share, so that a costly one does not use up what others need.
        self._share = work // max(len(self._conditions), 1)

    def keys(self, sources: DataSources) -> set[str]:
        """The hashes of the waits that an event matches."""
        named = {path for paths in self._paths for path in paths}
        values = {path: value_at(path, sources) for path in named}
        found = set()
        for paths in self._paths:
            pairs = {path: text for path in paths if (text := values[path]) is not None}
            if len(pairs) == len(paths):
                found.add(match_key(pairs))
        for source in self._conditions:
            sources.budget = Budget(self._share)
            if is_true(source, sources):
                found.add(condition_key(source))
        return found


def value_at(path: str, sources: DataSources) -> str | None:
    """The value of an event at a path, as it is compared; None where there is none that could be."""
    return _or(None, lambda: _value_at(path, sources))


def _value_at(path: str, sources: DataSources) -> str | None:
    with charging(sources.budget):
        text = compared(_expression(path).evaluate(sources))
    return None if text is None or len(text) > MAX_VALUE_CHARS else text


def is_true(condition: str, sources: DataSources) -> bool:
    """Whether a condition is true for an event; False where it fails."""
    return _or(False, lambda: _condition(condition)(sources))


def _or(fallback: Any, evaluate: Callable[[], Any]) -> Any:
    try:
        return evaluate()
    # One that does not compile was registered by another version; the waits beside it go on.
    except (RequestError, TemplateRefused):
        return fallback


@lru_cache(maxsize=4096)
def _expression(source: str) -> Expression:
    return compile_expression(source)


@lru_cache(maxsize=4096)
def _condition(source: str) -> Condition:
    return compile_condition(source)


def refused(reason: str) -> dict[str, Any]:
    """The event of a wait that cannot be registered, or has lost its webhook."""
    return {REFUSED_KEY: reason}


def path_text(source: str) -> str:
    """``body.data.runId``: a path as users write it."""
    name, _, rest = source.removeprefix("${Webhook::").removesuffix("}").partition(".")
    return f"{name.lower()}.{rest}" if rest else source
