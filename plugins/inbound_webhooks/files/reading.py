"""Reads definition files: their entries, and all problems with their syntax and types."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator

from inbound_webhooks.errors import InvalidDefinition, Problem
from inbound_webhooks.event.json_text import text_problem
from inbound_webhooks.files.entry import Entry
from inbound_webhooks.files.references import check_reference
from inbound_webhooks.files.schema import webhook_schema
from inbound_webhooks.files.yaml_loader import MAX_FILE_BYTES, BoundedLoader, refuse_duplicate_keys
from inbound_webhooks.records.renamed import renamed

SUFFIXES = (".yaml", ".yml")
TOP = "webhooks"
MAX_MESSAGE_CHARS = 200

_HAS_TOP = re.compile(rf"^[\"']?{TOP}[\"']?\s*:", re.MULTILINE)
# The parser's messages quote the file, and that may be a secret that begins with * or !.
_QUOTED = re.compile(r"'[^']{2,}'")


@dataclass
class Found:
    """The contents of files; ``skipped`` are the YAML files in folders that define no webhooks."""

    entries: list[Entry] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    skipped: list[Path] = field(default_factory=list)


def read_files(paths: Sequence[Path]) -> Found:
    """Read files, and from folders all YAML files, at any depth, that have ``webhooks:`` at the top level."""
    found = Found()
    for path in paths:
        if path.is_dir():
            _read_folder(path, found)
        else:
            _read_file(path, found, named=True)
    first: dict[str, Entry] = {}
    for entry in found.entries:
        defined = first.setdefault(entry.name, entry)
        if defined is not entry:
            already = f"{defined.file}:{defined.line} already defines this name"
            found.problems.append(entry.problem_at("name", already))
    return found


def _read_folder(folder: Path, found: Found) -> None:
    for path in sorted(path for path in folder.rglob("*") if path.suffix in SUFFIXES and path.is_file()):
        if not any(part.startswith(".") for part in path.relative_to(folder).parts):
            _read_file(path, found, named=False)


def _read_file(path: Path, found: Found, *, named: bool) -> None:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        found.problems.append(Problem(f"{error.strerror}", file=str(path)))
        return
    if len(content) > MAX_FILE_BYTES:
        problem = f"the file has more than {MAX_FILE_BYTES} bytes; split it"
        found.problems.append(Problem(problem, file=str(path)))
        return
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        found.problems.append(Problem("the file is not UTF-8 text", file=str(path)))
        return
    if not named and not _HAS_TOP.search(text):
        found.skipped.append(path)
        return
    try:
        _read_text(str(path), text, found)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 0
        problem = _QUOTED.sub("'…'", str(error.problem or error.context))
        found.problems.append(Problem(problem, file=str(path), line=line))
    except (yaml.YAMLError, RecursionError, ValueError, TypeError) as error:
        found.problems.append(Problem(f"the file is not valid YAML ({type(error).__name__})", file=str(path)))


def _read_text(file: str, text: str, found: Found) -> None:
    loader = BoundedLoader(text)
    root = loader.get_single_node()
    if not isinstance(root, yaml.MappingNode):
        found.problems.append(Problem(f"expected a list of webhooks below {TOP}:", file=file, line=1))
        return
    refuse_duplicate_keys(root)
    for key, node in root.value:
        if key.value == TOP:
            _read_list(file, loader, node, found)
        elif not str(key.value).startswith("x-"):
            found.problems.append(
                Problem(f"only {TOP}: may be at the top level", str(key.value), file=file, line=_line(key))
            )
    if TOP not in [key.value for key, _ in root.value]:
        found.problems.append(Problem(f"expected a list of webhooks below {TOP}:", file=file, line=1))


def _read_list(file: str, loader: BoundedLoader, node: Any, found: Found) -> None:
    if not isinstance(node, yaml.SequenceNode):
        found.problems.append(Problem("it must be a list", TOP, file=file, line=_line(node)))
        return
    for item in node.value:
        if not isinstance(item, yaml.MappingNode):
            found.problems.append(
                Problem("an item is not a mapping of fields", TOP, file=file, line=_line(item))
            )
            continue
        values = loader.construct_document(item)
        secrets = values.pop("secrets", {})
        entry = Entry(file, _line(item), values, {}, _lines(item))
        problems = list(_problems(entry, secrets))
        found.problems += problems
        if not problems:
            found.entries.append(Entry(file, entry.line, values, dict(secrets or {}), entry.lines))


def _problems(entry: Entry, secrets: Any) -> Iterator[Problem]:
    schema = webhook_schema()
    known = schema["properties"]
    for name in schema["required"]:
        if name not in entry.fields:
            yield entry.problem_at(name, "it is missing")
    for name, value in entry.fields.items():
        if message := renamed(str(name)):
            yield replace(entry.problem_at(str(name), message), field="")
        elif name not in known:
            yield entry.problem_at(str(name), f"unknown field. Known fields: {', '.join(known)}")
        elif message := text_problem(value) or _type_problem(name, value, known[name]):
            yield entry.problem_at(name, message)
    if secrets is not None and not isinstance(secrets, dict):
        yield entry.problem_at("secrets", "it must map purposes to references")
        return
    for purpose, reference in (secrets or {}).items():
        try:
            check_reference(str(purpose), reference)
        except InvalidDefinition as error:
            yield entry.problem(error)


def _type_problem(name: str, value: Any, schema: dict[str, Any]) -> str | None:
    """The message for a value of the wrong type; verification schemes check their own settings."""
    if name == "verification":
        schema = {"type": "array", "items": {"type": "object"}}
    for error in Draft202012Validator(schema).iter_errors(value):
        place = ".".join(str(step) for step in error.absolute_path)
        return f"{place}{': ' if place else ''}{error.message}"[:MAX_MESSAGE_CHARS]
    return None


def _lines(node: yaml.MappingNode) -> dict[str, int]:
    """Field -> line, including nested keys such as ``mapping.number``."""
    lines = {}
    for key, value in node.value:
        lines[str(key.value)] = _line(key)
        if isinstance(value, yaml.MappingNode):
            lines |= {f"{key.value}.{inner.value}": _line(inner) for inner, _ in value.value}
    return lines


def _line(node: Any) -> int:
    return int(node.start_mark.line) + 1
