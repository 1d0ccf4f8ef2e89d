"""Headers, query and form fields: names in order of arrival, each with its values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from urllib.parse import parse_qsl

from inbound_webhooks.errors import QueryMalformed
from inbound_webhooks.event.cached_attribute import cached_attribute


class SingleValue(str):
    """The only value of a header, query or form field: usable as text, and ``[0]`` returns it too."""

    __slots__ = ()


class MultiDict:
    """Headers, query or form fields: names in order of arrival, each with its values."""

    def __init__(self, pairs: Iterable[tuple[str, str]], *, ignore_case: bool = False) -> None:
        self._ignore_case = ignore_case
        self._pairs = pairs

    @cached_attribute
    def lists(self) -> dict[str, list[str]]:
        """The values by name, collected on first access."""
        lists: dict[str, list[str]] = {}
        for name, value in self._pairs:
            # Repeated names keep all their values: dropping some would hide what a sender sent.
            lists.setdefault(title_case(name) if self._ignore_case else name, []).append(value)
        return lists

    def __bool__(self) -> bool:
        return bool(self.lists)

    def __contains__(self, name: str) -> bool:
        return self._spelled(name) in self.lists

    def __getitem__(self, name: str) -> SingleValue | list[str]:
        """The value, or a list of them if there are several."""
        values = self.lists[self._spelled(name)]
        # Not a copy: a look-up must cost the same however many values there are, and nothing changes them.
        return SingleValue(values[0]) if len(values) == 1 else values

    def _spelled(self, name: str) -> str:
        return title_case(name) if self._ignore_case else name


def parse_query(query_string: str) -> list[tuple[str, str]]:
    """The names and values of a query, percent-decoded.

    :raises QueryMalformed: the bytes behind the percent signs are not UTF-8
    """
    if not query_string:
        return []
    try:
        # Strictly: replaced bytes would be lost, and different values could become equal.
        return parse_qsl(query_string, keep_blank_values=True, errors="strict")
    except UnicodeDecodeError:
        raise QueryMalformed from None


def parse_query_later(query_string: str) -> Iterator[tuple[str, str]]:
    """The same, once a field is looked up: for requests that may not need their query."""
    yield from parse_query(query_string)


def title_case(name: str) -> str:
    """``x-github-event`` -> ``X-Github-Event``, the spelling of the api-server and the gateway alike."""
    # The uncached function for long names.
    return _title_case(name) if len(name) <= MAX_REMEMBERED_CHARS else _title_case.__wrapped__(name)


MAX_REMEMBERED_CHARS = 64
"""Longer names are not cached: senders could fill the cache with ever new ones."""


@lru_cache(maxsize=4096)
def _title_case(name: str) -> str:
    return "-".join(part.capitalize() for part in name.split("-"))
