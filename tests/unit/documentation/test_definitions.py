"""The definition files that pages show are ones that `check` has nothing against."""

from __future__ import annotations

import re

import pytest

from tests.infrastructure.pages import CHECKOUT, PAGES, blocks, page

FILES = {
    f"{name}-{number}": block
    for name in PAGES
    for number, block in enumerate(blocks(page(name), "yaml"))
    if block.startswith("webhooks:")
}


@pytest.mark.parametrize("example", FILES)
def test_a_definition_that_a_page_shows_fits_its_dag(webhooks, tmp_path, example):
    file = tmp_path / "shown.yaml"
    file.write_text(FILES[example])
    done = webhooks("check", str(file), "--dags-folder", str(CHECKOUT / "dags"))
    assert done.status == 0
    assert re.fullmatch(r"Checked 1 webhook against \d+ DAGs: no errors\.", done.out.splitlines()[-1])
