"""What a waiting task, the endpoint and the dispatcher agree on: registration, result and resumption."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from inbound_webhooks.errors import BodyMalformed, ResultRefused, ResultTooLarge
from inbound_webhooks.event import json_text
from inbound_webhooks.event.conf.mapping import ConfMapping, dump_conf
from inbound_webhooks.event.data_sources import DataSources
from inbound_webhooks.event.expressions.budget import charging
from inbound_webhooks.event.expressions.engine import compile_condition, compile_expression
from inbound_webhooks.event.truncation import truncate
from inbound_webhooks.event.values import look_up

if TYPE_CHECKING:
    from typing_extensions import Self

XCOM_KEY = "inbound_webhooks_wait"
"""Key of the XCom by which a task registers its wait."""

RESUME_METHOD = "complete_wait"
"""The operator's method that Airflow calls when the task is resumed."""

RESULT_KEY = "result"
FAILURE_KEY = "failure"

TIMEOUT = "timeout"
"""The ``error_type`` of the event by which Airflow resumes a task at its deadline."""

MAX_RESULT_BYTES = 1024 * 1024
MAX_MESSAGE_CHARS = 500
"""Characters of a payload's message that a failed task quotes."""

_MESSAGE_KEYS = ("message", "error", "reason", "detail", "description", "status_message")
_RESERVED_KEYS = ("__classname__", "__id__", "__type", "__var")
"""Keys by which Airflow's serializer recognizes its own objects: it refuses to write some of them, and would
make objects of the others."""


HexOfId = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]
AwareTime = Annotated[datetime, msgspec.Meta(tz=True)]
_HexOfHash = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class StoredInXCom(msgspec.Struct, frozen=True, kw_only=True):
    """What a task leaves for the dispatcher."""

    def as_json(self) -> dict[str, Any]:
        """As stored in the XCom."""
        stored: dict[str, Any] = msgspec.to_builtins(self)
        return stored

    @classmethod
    def from_json(cls, stored: Any) -> Self | None:
        """The stored object; None if it is none of this kind."""
        try:
            return msgspec.convert(stored, cls)
        except msgspec.ValidationError:
            return None


class Registration(StoredInXCom, frozen=True, kw_only=True):
    """What a task leaves of its wait; only a hash of the token is kept.

    ``wait_id`` is the id of the task instance's current try in hex; ``try_number`` is None where the worker
    has an earlier version. ``result`` and ``fail_when`` are expressions over the request of the call.
    """

    wait_id: HexOfId
    token_sha256: _HexOfHash
    created_at: AwareTime
    deadline: AwareTime
    try_number: int | None = None
    result: str | None = None
    fail_when: str | None = None


def check_expressions(result: str | None, fail_when: str | None) -> None:
    """Compile both expressions.

    :raises TemplateRefused: one of them does not compile; has line and column
    """
    if result is not None:
        compile_expression(result)
    if fail_when is not None:
        compile_condition(fail_when)


def outcome_of(sources: DataSources, *, result: str | None, fail_when: str | None) -> str:
    """What a call means for the task, as JSON text: ``{"result": …}`` or ``{"failure": message}``.

    Without ``result``, the result is the whole event: body, query and headers, credentials removed.

    :raises ResultTooLarge: the result has more than :data:`MAX_RESULT_BYTES`
    :raises ResultRefused: an object in it has a key that Airflow reserves
    :raises ContentRefused: an expression fails, or needs a body that does not fit its media type
    """
    if fail_when is not None and compile_condition(fail_when)(sources):
        return dump_conf({FAILURE_KEY: _message(sources)})
    if result is None:
        outcome: dict[str, Any] = {RESULT_KEY: ConfMapping().conf(sources, None)["webhook"]}
    else:
        mapping = ConfMapping({RESULT_KEY: compile_expression(result)})
        # A value that is missing in the call is None for the task.
        outcome = {RESULT_KEY: None} | mapping.conf(sources, None)
    with charging(sources.budget):
        written = dump_conf(outcome)
    if len(written.encode()) > MAX_RESULT_BYTES:
        raise ResultTooLarge(MAX_RESULT_BYTES)
    for key in _RESERVED_KEYS:
        if f'"{key}":' in written:
            raise ResultRefused(key)
    return written


def resumed_by_call(outcome: str, delivery_id: str) -> dict[str, Any]:
    """The event of a call; the outcome stays text, because Airflow's serializer reserves keys of objects."""
    return {"outcome": outcome, "delivery_id": delivery_id}


def resumed_by_user(actor: str) -> dict[str, Any]:
    """The event where a user resumes a task by hand: its result is None."""
    return {"outcome": dump_conf({RESULT_KEY: None}), "resumed_by": actor}


def timed_out(refused_calls: int, refusal: str | None) -> dict[str, Any]:
    """The event at the deadline; Airflow's own has the same ``error_type``."""
    return {"error_type": TIMEOUT, "refused_calls": refused_calls, "refusal": refusal}


def is_failure(outcome: str) -> bool:
    """Whether an outcome fails its task."""
    return FAILURE_KEY in json.loads(outcome)


def _message(sources: DataSources) -> str:
    """What the payload says about the failure: a well-known field of it, else its beginning."""
    try:
        for container in (sources.body, look_up(sources.body, "error")):
            for key in _MESSAGE_KEYS:
                text = look_up(container, key)
                if isinstance(text, str) and text:
                    return truncate(str(text), MAX_MESSAGE_CHARS)
    except BodyMalformed:
        pass  # its text is quoted instead
    value = sources.body.value_or_text
    return truncate(value if isinstance(value, str) else json_text.dump(value), MAX_MESSAGE_CHARS)
