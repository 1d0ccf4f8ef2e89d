"""A definition file costs what its size says, whatever its aliases stand for."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from inbound_webhooks.files import yaml_loader
from inbound_webhooks.files.reading import read_files
from inbound_webhooks.files.yaml_loader import MAX_DEPTH, MAX_EXPANDED_CHARS, MAX_FILE_BYTES

CPU_SECONDS = 20
"""Far above what any of these files takes, and far below what they took."""

LAUGHS = (
    'x-a: &a ["lol","lol","lol","lol","lol","lol","lol","lol","lol"]\n'
    + "".join(
        f"x-{b}: &{b} [{','.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    + "webhooks:\n  - {name: one, dag_id: orders, filter: *i}\n"
)
MERGES = (
    "x-a: &a {k: v}\n"
    + "".join(
        f"x-{b}: &{b} {{<<: [{','.join([f'*{a}'] * 9)}]}}\n"
        for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    + "webhooks:\n  - {name: one, dag_id: orders, mapping: *i}\n"
)
ONE_LONG_TEXT = f"x-a: &a {'a' * 100_000}\nx-b: [{','.join(['*a'] * 1000)}]\nwebhooks: []\n"
DEEP = f"webhooks: {'[' * (MAX_DEPTH + 1)}{']' * (MAX_DEPTH + 1)}\n"
BASE_60 = f"webhooks:\n  - name: one\n    dag_id: orders\n    max_per_second: 1{':59' * 500_000}\n"
DIGITS = f"webhooks:\n  - name: one\n    max_per_second: {'9' * 1_000_000}\n"
RECURSIVE = "x-a: &a [*a]\nwebhooks: []\n"
RECURSIVE_MAPPING = "webhooks:\n  - &a\n    name: one\n    mapping: {a: *a}\n"

HOSTILE = {
    "billion laughs": (LAUGHS, 6, "characters, aliases"),
    "merged mappings": (MERGES, 6, "characters, aliases"),
    "one long text": (ONE_LONG_TEXT, 2, "characters, aliases"),
    "depth": (DEEP, 1, "nested deeper than"),
    "a number with a base of 60": (BASE_60, 4, "a number has more than"),
    "a number of many digits": (DIGITS, 3, "a number has more than"),
    "a list that contains itself": (RECURSIVE, 1, "a value that contains it"),
    "a webhook that contains itself": (RECURSIVE_MAPPING, 4, "a value that contains it"),
}


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


@pytest.mark.parametrize("name", HOSTILE)
def test_a_file_that_stands_for_more_than_it_may_is_refused_with_its_line(tmp_path: Path, name: str) -> None:
    text, line, reason = HOSTILE[name]
    file = tmp_path / "hooks.yaml"
    file.write_text(text)
    before = cpu_seconds()
    found = read_files([file])
    assert cpu_seconds() - before < CPU_SECONDS
    (problem,) = found.problems
    assert (problem.line, found.entries) == (line, [])
    assert reason in problem.message


def test_no_more_of_a_file_is_counted_than_its_limit(tmp_path: Path) -> None:
    """The nodes that are made, not the time that they take."""
    loader = yaml_loader.BoundedLoader(LAUGHS)
    with pytest.raises(yaml_loader.yaml.MarkedYAMLError):
        loader.get_single_node()
    assert len(loader._chars_of) < 200


def test_a_file_is_not_read_beyond_its_limit(tmp_path: Path) -> None:
    file = tmp_path / "hooks.yaml"
    with file.open("wb") as sparse:
        sparse.truncate(MAX_FILE_BYTES * 1000)
    (problem,) = read_files([file]).problems
    assert f"more than {MAX_FILE_BYTES} bytes" in problem.message


def test_aliases_and_merges_of_an_ordinary_file_are_fine(tmp_path: Path) -> None:
    shared = "x-all: &all\n  enabled: false\n  notify_failure: &ops [ops@example.com]\n"
    hooks = "".join(
        f"  - <<: *all\n    name: hook {number}\n    dag_id: orders\n    notify_success: *ops\n"
        for number in range(300)
    )
    file = tmp_path / "hooks.yaml"
    file.write_text(f"{shared}webhooks:\n{hooks}")
    found = read_files([file])
    assert (len(found.entries), found.problems) == (300, [])
    assert found.entries[299].fields["notify_success"] == ["ops@example.com"]
    assert MAX_EXPANDED_CHARS > 10 * 300 * 12 * yaml_loader.MIN_NODE_CHARS
