"""Every link between pages leads somewhere: to a file that is there, and to a heading in it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.infrastructure.pages import CHECKOUT, PAGES, page, prose

_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def links(name: str) -> Iterator[str]:
    """The links of a page that lead to no other server."""
    for target in _LINK.findall(prose(page(name))):
        if not re.match(r"https?:|mailto:", target):
            yield target


def anchors(name: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(page(name)), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", [name for name in PAGES if any(links(name))])
def test_a_link_leads_to_what_is_there(name):
    for target in links(name):
        file, _, anchor = target.partition("#")
        found = (CHECKOUT / name).parent / file if file else CHECKOUT / name
        assert found.exists(), f"{name} links to {target}, which is not there"
        if anchor:
            assert anchor in anchors(found.resolve().relative_to(CHECKOUT).as_posix()), f"{name}: {target}"


def test_the_readme_leads_to_every_page_of_docs():
    linked = {target.partition("#")[0] for target in links("README.md")}

    assert {name for name in PAGES if name.startswith("docs/")} <= linked


def test_every_picture_is_on_some_page():
    shown = {target.rpartition("/")[2] for name in PAGES for target in links(name)}

    assert {path.name for path in (CHECKOUT / "docs").iterdir() if path.suffix in (".png", ".svg")} <= shown
