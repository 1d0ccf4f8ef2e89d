"""The computing budget of a request's expressions: counted instead of timed, so that all machines agree."""

from __future__ import annotations

from contextvars import ContextVar, Token

from inbound_webhooks.errors import ExpressionFailed

MAX_BUDGET = 64 * 1024 * 1024
"""Characters that a request's expressions may read, weighted as below; about a second."""

WRITTEN = 4
"""Weight of a produced character, which occupies memory until the request is done."""

PARSED = 16
"""Weight of a parsed character of JSON: Python calls back for each number and creates an object for it."""

ITEM = 64
"""Weight of an item of a list or object, at any level."""


class Budget:
    """What is left of a request's budget."""

    def __init__(self, units: int = MAX_BUDGET) -> None:
        self._left = units

    def charge(self, units: int) -> None:
        """Take this much from the budget, before or after the work.

        :raises ExpressionFailed: the budget is exhausted
        """
        self._left -= units
        if self._left < 0:
            raise ExpressionFailed("The expressions exceed the computing budget of a request.")


class charging:
    """A context in which :func:`charge` takes from one request's budget."""

    __slots__ = ("_budget", "_token")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget

    def __enter__(self) -> None:
        self._token: Token[Budget | None] = CURRENT_BUDGET.set(self._budget)

    def __exit__(self, *_: object) -> None:
        CURRENT_BUDGET.reset(self._token)


# A context variable instead of an argument: Jinja calls filters and tests with their operands only.
CURRENT_BUDGET: ContextVar[Budget | None] = ContextVar("inbound_webhooks_budget", default=None)


def charge(units: int) -> None:
    """Take from the budget of the request whose expressions are being evaluated; free elsewhere.

    :raises ExpressionFailed: the budget is exhausted
    """
    budget = CURRENT_BUDGET.get()
    if budget is not None:
        budget.charge(units)
