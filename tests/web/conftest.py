"""The pages under both auth managers; they take seconds to build, so the tests of a module share them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import pytest

from tests.web.site import AUTH_MANAGERS, Site, site


def _made(auth: str, sqlite_template) -> Iterator[Site]:
    from tests.infrastructure.databases import connect_airflow, disconnect_airflow

    connect_airflow(sqlite_template.fresh().url)
    try:
        # The libraries around FAB use much that is deprecated.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with site(auth) as made:
                yield made
    finally:
        disconnect_airflow()


@pytest.fixture(scope="module", params=AUTH_MANAGERS)
def pages(request: pytest.FixtureRequest, sqlite_template) -> Iterator[Site]:
    """The pages, once under each auth manager."""
    yield from _made(request.param, sqlite_template)


@pytest.fixture(scope="module")
def fab_pages(sqlite_template) -> Iterator[Site]:
    """The pages under FabAuthManager."""
    yield from _made("fab", sqlite_template)
