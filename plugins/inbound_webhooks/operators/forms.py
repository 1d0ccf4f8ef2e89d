"""The two forms of a wait: for a call of a one-time URL, or for an event of a webhook."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from inbound_webhooks.errors import TemplateRefused
from inbound_webhooks.event.expressions.engine import compile_condition
from inbound_webhooks.event.wait_match import MAX_LOOK_BACK, path_source

DEFAULT_LOOK_BACK = timedelta(minutes=10)
"""What the external system may send before the task that waits has begun."""


def check_form(
    start: Callable[..., Any] | None,
    webhook: str | None,
    match: Any,
    match_expression: str | None,
    look_back: timedelta,
) -> None:
    """Let the import of the DAG fail where arguments do not fit together.

    ``start`` gets a URL, or returns the match for the events of ``webhook``.

    :raises TypeError: not exactly one of the two forms
    :raises ValueError: a path or condition does not compile, or ``look_back`` is out of range
    """
    matches = match is not None or match_expression is not None
    is_call = start is not None and webhook is None and not matches
    is_event = webhook is not None and (matches or start is not None) and (start is None or match is None)
    if not (is_call or is_event):
        raise TypeError(
            "WaitForWebhook needs either start, or webhook with match, match_expression or both; "
            "with webhook, start may return the match instead."
        )
    if not isinstance(look_back, timedelta) or not timedelta() <= look_back <= MAX_LOOK_BACK:
        raise ValueError(f"look_back must be a timedelta of at most {MAX_LOOK_BACK}, not {look_back!r}.")
    if isinstance(match, Mapping):
        # Values are known when the task runs; an XComArg gives the paths then, too.
        for path in match:
            path_source(path)
    if match_expression is not None:
        _check_condition(match_expression)


def _check_condition(source: str) -> None:
    try:
        compile_condition(source)
    except TemplateRefused as error:
        raise ValueError(f"match_expression: {error.message}") from None
