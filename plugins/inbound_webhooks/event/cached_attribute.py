"""Attributes that are computed once, without the lock that functools.cached_property has before Python 3.12.

That lock is shared by all instances of a class: one slow computation would block every other request.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

Value = TypeVar("Value")


class cached_attribute(Generic[Value]):
    """A method turned into an attribute, computed on first access and kept in the instance's ``__dict__``.

    Two threads that read it first at the same time may both compute it, as with Python 3.12's
    :class:`functools.cached_property` (https://docs.python.org/3/library/functools.html).
    """

    def __init__(self, compute: Callable[[Any], Value]) -> None:
        self._compute = compute
        self._name = compute.__name__
        self.__doc__ = compute.__doc__

    @overload
    def __get__(self, instance: None, owner: type) -> cached_attribute[Value]: ...

    @overload
    def __get__(self, instance: object, owner: type) -> Value: ...

    def __get__(self, instance: object | None, owner: type) -> cached_attribute[Value] | Value:
        """Runs only until the value is stored: attributes of the instance take precedence over this."""
        if instance is None:
            return self
        value = instance.__dict__[self._name] = self._compute(instance)
        return value
