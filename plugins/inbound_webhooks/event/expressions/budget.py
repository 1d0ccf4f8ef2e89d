"""The budgets of a webhook's expressions: counted instead of timed, so that all machines agree.

One budget limits the size of all its expressions together when they are compiled, the other one the work of
all of them together on one request.
"""

from __future__ import annotations

from contextvars import ContextVar, Token
from dataclasses import dataclass

from inbound_webhooks.errors import ExpressionFailed

MAX_PARTS = 10_000
"""Parts (tokens) of all expressions of a webhook; to compile that many takes up to 0.2 s."""

MAX_WORK = 64 * 1024 * 1024
"""Units that the expressions of a request may use. A unit is at most about 4 ns, all of them 0.25 s."""

MAX_FOLDED_WORK = 4 * 1024 * 1024
"""Units for the constant parts of a webhook's expressions, which are computed when they are compiled."""

# --- what work costs, in units; a test measures each filter, test and operator against these ---

CALL = 200
"""One filter, test or operator, whatever its operands."""

WRITTEN = 4
"""A produced character, which occupies memory until the request is done."""

HASHED = 2
"""A byte of a hash."""

PARSED = 12
"""A parsed character of JSON, without the items and containers that it becomes part of."""

REFERENCE = 8
"""An item of a list that is copied without what it contains."""

ITEM = 64
"""An item of a list or object that is visited or created, at any level."""

CONTAINER = 256
"""A list or object that is created: Python's garbage collector visits it again and again."""

TIME = 50_000
"""A time that is parsed, with a format or without."""

SERIALIZED = 1_000
"""A value that is written as JSON, whatever its size."""

SOURCE_CHARS_PER_PART = 64
"""Characters of a source that count as much as a token."""


@dataclass(frozen=True)
class ExpressionLimits:
    """The sizes of both budgets; the options ``max_expression_parts`` and ``max_expression_work``."""

    parts: int = MAX_PARTS
    work: int = MAX_WORK


class LocatedProblem(Exception):
    """A problem at an offset of the source."""

    def __init__(self, reason: str, offset: int) -> None:
        self.reason = reason
        self.offset = offset
        super().__init__(reason)


class CompileBudget:
    """What is left for compiling a webhook's expressions; ``folding`` is for their constant parts."""

    def __init__(self, parts: int = MAX_PARTS) -> None:
        self._parts = self._left = parts
        self.folding = Budget(MAX_FOLDED_WORK)

    @property
    def left(self) -> int:
        """Parts that are left; negative once the budget is exhausted."""
        return self._left

    def charge(self, parts: int, offset: int) -> None:
        """Take this much from the budget, before the work.

        :raises LocatedProblem: the budget is exhausted
        """
        self._left -= parts
        if self._left < 0:
            raise LocatedProblem(
                f"the webhook's expressions are too long: they have more than {self._parts} parts "
                "(see max_expression_parts)",
                offset,
            )


class Budget:
    """What is left of a request's budget."""

    def __init__(self, units: int = MAX_WORK) -> None:
        self._left = units

    @property
    def left(self) -> int:
        """Units that are left; negative once the budget is exhausted."""
        return self._left

    def charge(self, units: int) -> None:
        """Take this much from the budget, before the work or while it is done.

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


# A context variable instead of an argument: values are written as text or JSON outside of expressions too.
CURRENT_BUDGET: ContextVar[Budget | None] = ContextVar("inbound_webhooks_budget", default=None)


def charge(units: int) -> None:
    """Take from the budget of the request whose expressions are being evaluated; free elsewhere.

    :raises ExpressionFailed: the budget is exhausted
    """
    budget = CURRENT_BUDGET.get()
    if budget is not None:
        budget.charge(units)


def digits_cost(number: int) -> int:
    """Units for the digits of an integer: to write them takes quadratic time, and so does a division."""
    return number.bit_length() ** 2 >> 10


def charge_parsing(text: str) -> None:
    """Charge for parsing JSON text, by the number of lists, objects and items that it can hold.

    :raises ExpressionFailed: the budget is exhausted
    """
    containers = text.count("[") + text.count("{")
    charge(PARSED * len(text) + CONTAINER * containers + ITEM * text.count(","))
