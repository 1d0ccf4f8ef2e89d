"""How much the expressions of one request may compute: counted, not timed, so that each machine agrees."""

from __future__ import annotations

from contextvars import ContextVar, Token

from inbound_webhooks.errors import ExpressionFailed

MAX_BUDGET = 64 * 1024 * 1024
"""Characters that all expressions of a request may read, counted with these weights; about a second."""

WRITTEN = 4
"""A character that is made: it takes memory until the request is done."""

PARSED = 16
"""A character of JSON that is parsed: Python calls us back for each number, and makes an object of it."""

ITEM = 64
"""An item of a list or object, at whatever level."""


class Budget:
    """What is left for a request."""

    def __init__(self, units: int = MAX_BUDGET) -> None:
        self._left = units

    def charge(self, units: int) -> None:
        """Take this much, before or after it is done.

        :raises ExpressionFailed: there is not so much left
        """
        self._left -= units
        if self._left < 0:
            raise ExpressionFailed("The expressions compute more over this request than is allowed.")


class charging:
    """A block in which what is spent is taken from one request's share."""

    __slots__ = ("_token", "_work")

    def __init__(self, work: Budget) -> None:
        self._work = work

    def __enter__(self) -> None:
        self._token: Token[Budget | None] = _COUNTING.set(self._work)

    def __exit__(self, *_: object) -> None:
        _COUNTING.reset(self._token)


_COUNTING: ContextVar[Budget | None] = ContextVar("inbound_webhooks_work", default=None)


def charge(units: int) -> None:
    """Count work on the request whose expressions are being evaluated; elsewhere it is free.

    :raises ExpressionFailed: that request has had its share
    """
    work = _COUNTING.get()
    if work is not None:
        work.charge(units)
