"""Loads YAML in bounded time and memory, and accepts plain values only.

A text of nine lines stands for 10^9 values where each line consists of aliases of the previous one ("billion
laughs"). Loaded, they are few objects that refer to each other, but what walks through them does not end.
"""

from __future__ import annotations

from typing import Any

import yaml

MAX_FILE_BYTES = 4 * 1024 * 1024
MAX_EXPANDED_CHARS = 8 * 1024 * 1024
"""Characters of a file with every alias written out."""

MIN_NODE_CHARS = 64
"""What each key, value, list and mapping counts at least, since an empty one takes memory too."""

MAX_DEPTH = 50
MAX_NUMBER_CHARS = 100
"""Characters of a number. One with a base of 60 (1:30:00) takes time with the square of its length."""

_NUMBERS = frozenset(f"tag:yaml.org,2002:{name}" for name in ("int", "float", "timestamp"))
_MERGE = "tag:yaml.org,2002:merge"


class BoundedLoader(yaml.SafeLoader):
    """Refuses repeated keys, and texts beyond the limits of this module.

    Its methods raise yaml.MarkedYAMLError, which has the line.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._chars = 0
        self._depth = 0
        self._chars_of: dict[int, int] = {}

    def compose_node(self, parent: Any, index: Any) -> Any:
        """The next node. An alias counts as much as what it stands for."""
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent):
            node = super().compose_node(parent, index)
            if id(node) not in self._chars_of:  # it is not complete yet
                raise _refused("an alias stands for a value that contains it", event)
            self._count(self._chars_of[id(node)], event)
            return node
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _refused(f"it is nested deeper than {MAX_DEPTH} levels", event)
        before = self._chars
        self._count(max(MIN_NODE_CHARS, len(getattr(event, "value", ""))), event)
        node = super().compose_node(parent, index)
        self._depth -= 1
        self._chars_of[id(node)] = self._chars - before
        if node.tag in _NUMBERS and len(node.value) > MAX_NUMBER_CHARS:
            raise _refused(f"a number has more than {MAX_NUMBER_CHARS} characters", event)
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """A dict, without repeated keys."""
        if isinstance(node, yaml.MappingNode):
            refuse_duplicate_keys(node)
        made: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        return made

    def _count(self, chars: int, event: Any) -> None:
        self._chars += chars
        if self._chars > MAX_EXPANDED_CHARS:
            problem = f"the file has more than {MAX_EXPANDED_CHARS} characters, aliases (*name) written out"
            raise _refused(problem, event)


def refuse_duplicate_keys(node: yaml.MappingNode) -> None:
    """Refuse repeated keys; YAML would silently use the last one.

    :raises yaml.MarkedYAMLError: a key occurs twice
    """
    seen = set()
    for key, _ in node.value:
        if key.tag != _MERGE and isinstance(key, yaml.ScalarNode) and key.value in seen:
            raise yaml.constructor.ConstructorError(None, None, f"duplicate key {key.value}", key.start_mark)
        seen.add(key.value if isinstance(key, yaml.ScalarNode) else id(key))


def _refused(problem: str, event: Any) -> yaml.MarkedYAMLError:
    return yaml.composer.ComposerError(None, None, problem, event.start_mark)
