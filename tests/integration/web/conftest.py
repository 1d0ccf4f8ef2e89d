"""The pages under both auth managers; they take seconds to build, so the tests of a module share them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import pytest

from tests.integration.web.site import AUTH_MANAGERS, Site, site


def made(auth: str, template) -> Iterator[Site]:
    """The pages under an auth manager, on a fresh database."""
    from tests.infrastructure.databases import connect_airflow, disconnect_airflow

    connect_airflow(template.fresh().url)
    try:
        # The libraries around FAB use much that is deprecated.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with site(auth) as found:
                yield found
    finally:
        disconnect_airflow()


@pytest.fixture(scope="session")
def template(pytestconfig: pytest.Config, template_of):
    """The databases behind the pages: the kind does not matter, unless one was chosen."""
    return template_of(pytestconfig.getoption("database") or "sqlite")


@pytest.fixture(scope="module", params=AUTH_MANAGERS)
def pages(request: pytest.FixtureRequest, template) -> Iterator[Site]:
    """The pages, once under each auth manager."""
    yield from made(request.param, template)


@pytest.fixture(scope="module")
def fab_pages(template) -> Iterator[Site]:
    """The pages under FabAuthManager."""
    yield from made("fab", template)
