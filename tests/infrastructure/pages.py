"""The documentation as tests read it: pages, sections, tables and fenced blocks."""

from __future__ import annotations

import re
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_BAR = re.compile(r"(?<!\\)\|")
_TYPED = re.compile(r"^\$ (.*(?:\n[ ]+.*)*)", re.MULTILINE)

PAGES = sorted(
    path.relative_to(CHECKOUT).as_posix()
    for folder in (".", "docs", "docker", "benchmarks", "tests/payloads")
    for path in (CHECKOUT / folder).glob("*.md")
)
"""The pages that people read, by their paths in the repository."""


def page(name: str) -> str:
    """The text of a page, such as ``docs/rest.md``."""
    return (CHECKOUT / name).read_text()


def section(text: str, title: str) -> str:
    """The text below a heading, up to the next one of its level or above."""
    heading = re.search(rf"^(#+) {re.escape(title)}\n", text, re.MULTILINE)
    assert heading, f"there is no heading {title!r}"
    end = re.compile(rf"^#{{1,{len(heading[1])}}} ", re.MULTILINE).search(text, heading.end())
    return text[heading.end() : end.start() if end else None]


def tables(text: str) -> list[list[list[str]]]:
    """Each table as its rows, each row as its cells; without the head, bars no longer escaped."""
    return [
        [_cells(line) for line in block.strip().splitlines()[2:]]
        for block in re.findall(r"(?:^\|.*\|\n)+", text + "\n", re.MULTILINE)
    ]


def _cells(line: str) -> list[str]:
    return [cell.strip().replace("\\|", "|") for cell in _BAR.split(line)[1:-1]]


def code(cell: str) -> str:
    """What stands in backquotes, where the cell is nothing else."""
    assert re.fullmatch(r"`.+`", cell), f"{cell!r} is not code"
    return cell[1:-1]


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of a language, without their fences."""
    return [content for name, content in _FENCE.findall(text) if name == language]


def prose(text: str) -> str:
    """A page without its fenced blocks."""
    return _FENCE.sub("", text)


def typed(block: str) -> str:
    """What a person types of a console block: the lines behind ``$`` and those that continue them."""
    return "\n".join(_TYPED.findall(block))


def printed(block: str) -> list[str]:
    """What the commands of a console block print, line by line."""
    return [line for line in _TYPED.sub("", block).splitlines() if line]
