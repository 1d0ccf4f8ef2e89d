"""The documentation that comes with the package, from Markdown to HTML."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

FOLDER = Path(__file__).parent / "docs"
"""A link to the folder of the checkout, which is a folder of its own in a wheel; some copies have neither."""

CONTENTS = (
    *("quick-start", "concepts", "dags", "assets", "waiting", "expressions", "results"),
    *("lists-and-routes", "grouping", "patterns", "presets", "pages"),
    *("definitions", "rest", "commands", "mail", "operating", "troubleshooting", "growing", "managed"),
    *("security", "questions", "compatibility", "architecture", "adding-a-sender"),
)
"""Names of the pages in the order of the README."""

FILES = {".png": "image/png", ".svg": "image/svg+xml", ".json": "application/json"}
"""Suffixes of what pages show or link to, with their content types."""

_ANOTHER_PAGE = re.compile(r"^([\w-]+)\.md(?=#|$)")
_NOT_IN_AN_ANCHOR = re.compile(r"[^\w\- ]")


@dataclass(frozen=True)
class DocumentationPage:
    """A page; ``html`` links to other pages by their names, relative to its own URL."""

    name: str
    title: str
    html: str


def has_page(name: str) -> bool:
    """Whether the package has this page."""
    return name in CONTENTS and (FOLDER / f"{name}.md").is_file()


@cache
def read_page(name: str) -> DocumentationPage:
    """A page that :func:`has_page` has."""
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = markdown.parse((FOLDER / f"{name}.md").read_text())
    headings = [place for place, token in enumerate(tokens) if token.type == "heading_open"]
    texts = [tokens[place + 1].content for place in headings]
    for place, anchor in zip(headings, _anchors(texts), strict=True):
        tokens[place].attrSet("id", anchor)
    for token in tokens:
        token.children = token.children and list(_links(token.children))
    return DocumentationPage(name, texts[0], markdown.renderer.render(tokens, markdown.options, {}))


def read_file(name: str) -> tuple[Path, str] | None:
    """A picture or another file of the pages, with its content type."""
    path = FOLDER / name
    is_there = path.suffix in FILES and path.parent == FOLDER and path.is_file()
    return (path, FILES[path.suffix]) if is_there else None


def _anchors(headings: Iterable[str]) -> Iterable[str]:
    """As on GitHub: ``Many failures`` -> ``many-failures``, a second one ``many-failures-1``."""
    used: dict[str, int] = {}
    for heading in headings:
        anchor = _NOT_IN_AN_ANCHOR.sub("", heading.lower()).replace(" ", "-")
        number = used.get(anchor, 0)
        used[anchor] = number + 1
        yield f"{anchor}-{number}" if number else anchor


def _links(tokens: list[Token]) -> Iterable[Token]:
    """Links to other pages without their suffix, and only the text of links to what the package lacks."""
    is_dropped = False
    for token in tokens:
        if token.type == "link_open":
            href = str(token.attrs["href"])
            is_dropped = href.startswith("../")
            token.attrs["href"] = _ANOTHER_PAGE.sub(r"\1", href)
            if href.startswith("https://"):
                token.attrs |= {"target": "_blank", "rel": "noopener noreferrer"}
        if not (is_dropped and token.type in ("link_open", "link_close")):
            yield token
