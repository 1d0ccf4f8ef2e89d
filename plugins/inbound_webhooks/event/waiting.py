"""A webhook whose response waits for the run: for how long, for what, and with which status it is sent."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from inbound_webhooks.errors import ContentRefused
from inbound_webhooks.event.data_sources import DataSources
from inbound_webhooks.event.expressions.engine import Expression
from inbound_webhooks.event.request import InboundRequest
from inbound_webhooks.event.sizes import MAX_WAIT_SECONDS
from inbound_webhooks.event.values import NOTHING, unwrapped

# RFC 7240, section 2: preferences with optional values and parameters, several of them after commas.
_WAIT = re.compile(r'(?:^|,)\s*wait\s*=\s*"?([0-9]{1,9})"?\s*(?=[,;]|$)', re.IGNORECASE)
_ASYNC = re.compile(r"(?:^|,)\s*respond-async\s*(?=[,;]|$)", re.IGNORECASE)


class RunState:
    """What is known of a delivery's run when its response is sent: it has a result or has succeeded, it has
    failed, or there will be none."""

    COMPLETED = "completed"
    FAILED = "failed"
    UNDELIVERABLE = "undeliverable"
    CANCELLED = "cancelled"


class RunResult(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a wait; ``result`` is a JSON value, or NOTHING where the run has none.

    ``state`` is one of :class:`RunState`, ``run_state`` what Airflow calls it: a run may still be running
    when its result exists. ``problem`` says why a result that exists is not sent.
    """

    state: str
    run_id: str | None = None
    run_state: str | None = None
    result: Any = NOTHING
    problem: str = ""


class WaitDefinition(Protocol):
    """The fields of a webhook that say how its response waits; documented in :mod:`records.webhook`."""

    @property
    def wait_seconds(self) -> int | None: ...
    @property
    def prefer_wait(self) -> bool: ...
    @property
    def result_task(self) -> str | None: ...


def waits(definition: WaitDefinition) -> bool:
    """Whether responses of a webhook wait for the run, always or where the sender prefers it."""
    return definition.wait_seconds is not None or definition.prefer_wait


@dataclass(frozen=True)
class Preference:
    """How long a response waits, and the sender's preference that is applied so (RFC 7240), or ""."""

    seconds: int
    applied: str = ""


NO_WAIT = Preference(0)


@dataclass(frozen=True)
class Wait:
    """How the responses of a webhook wait."""

    seconds: int
    """Of a request without a preference; 0 for a response at once."""
    may_prefer: bool
    task: str | None
    """The task whose result it is; None for the DAG's own."""
    status: Expression | None

    def preference(self, request: InboundRequest) -> Preference:
        """How long the response to a request waits."""
        if self.may_prefer:
            preferences = request.combined_header("Prefer")
            if match := _WAIT.search(preferences):
                seconds = min(int(match[1]), MAX_WAIT_SECONDS)
                return Preference(seconds, f"wait={seconds}")
            if _ASYNC.search(preferences):
                return Preference(0, "respond-async")
        return Preference(self.seconds)


def standard_status(found: RunResult, success: int) -> int:
    """The status of a response after the wait, unless an expression says otherwise."""
    return success if found.state == RunState.COMPLETED else FAILED_STATUS


def status_of_run(expression: Expression, sources: DataSources) -> int:
    """The status that an expression yields; 500 where it yields none."""
    try:
        value = unwrapped(expression.evaluate(sources))
    except ContentRefused:
        return FAILED_STATUS
    text = str(value).strip() if type(value) in (int, str) else ""
    return int(text) if text in _STATUSES else FAILED_STATUS


FAILED_STATUS = 500
"""The status for a run that failed, unless the webhook says otherwise: a sender that only looks at the status
must not take it for a success."""

# No redirects: a browser that opens the URL would follow them.
_STATUSES = frozenset(str(status) for status in (*range(200, 300), *range(400, 600)))
