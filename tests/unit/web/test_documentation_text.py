"""The documentation in the package: complete, in order, and with links that lead somewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from inbound_webhooks.web import documentation_text as texts
from tests.infrastructure.pages import CHECKOUT, page, section, tables


def linked(name: str) -> list[str]:
    return re.findall(r'(?:href|src)="([^"]+)"', texts.read_page(name).html)


def anchors(name: str) -> set[str]:
    return set(re.findall(r'<h\d id="([^"]+)"', texts.read_page(name).html))


def test_the_pages_are_those_of_the_readme_in_its_order():
    (table,) = tables(section(page("README.md"), "Documentation"))
    in_the_readme = re.findall(r"\(docs/([\w-]+)\.md\)", "".join(row[0] for row in table))
    assert list(texts.CONTENTS) == in_the_readme
    assert all(texts.has_page(name) for name in texts.CONTENTS)


@pytest.mark.parametrize("name", texts.CONTENTS)
def test_each_link_leads_to_a_page_an_anchor_or_a_file_of_the_package(name):
    for link in linked(name):
        target, _, anchor = link.partition("#")
        if not link.startswith("https://"):
            assert texts.has_page(target or name) or texts.read_file(target), link
            assert not anchor or anchor in anchors(target or name), link


def test_markdown_becomes_html_and_a_link_to_what_the_package_lacks_its_text():
    html = texts.read_page("pages").html
    assert '<h1 id="pages">Pages</h1>' in html
    assert "<table>" in html
    assert 'src="pages-map.png"' in html
    assert "<p>SECURITY.md is the threat model" in texts.read_page("security").html


@pytest.mark.parametrize("name", ["", "nothing", "../pages", "pages.md", "../../README", "../../../LICENSE"])
def test_there_is_no_other_page_and_no_other_file(name):
    assert not texts.has_page(name)
    assert texts.read_file(name) is None


@pytest.mark.parametrize(("options", "has_pages"), [("-rL", True), ("-r", False)])
def test_a_copy_of_the_plugins_folder_has_the_pages_where_links_are_followed(tmp_path, options, has_pages):
    subprocess.run(["cp", options, str(CHECKOUT / "plugins"), str(tmp_path)], check=True)
    program = (
        "from inbound_webhooks.web import documentation_text as texts; "
        "print({texts.has_page(name) for name in texts.CONTENTS})"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": str(tmp_path / "plugins")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == str({has_pages})
