"""The list of webhooks in Chromium: what arrives late changes nothing back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.acceptance.browser import wait_for_scripts
from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.webhooks_builder import store_webhook
from tests.integration.web.conftest import made
from tests.integration.web.window import windows

POLL_MILLISECONDS = 15_000


@pytest.fixture(scope="module")
def open_window(template) -> Iterator:
    for pages in made("fab", template):
        store_dag("orders")
        with windows(pages) as opened:
            yield opened


def test_an_update_that_was_asked_for_before_a_click_does_not_take_it_back(open_window):
    store_webhook("toggled")
    window = open_window()
    frame = window.open("/")
    wait_for_scripts(frame)
    switch = frame.get_by_role("switch", name="toggled is enabled")
    held = []

    def hold(route) -> None:
        """Keep the response of the first update, which has the state before the click."""
        response = route.fetch()
        held.append(lambda: route.fulfill(response=response))

    window.page.route("**/rows*", hold, times=1)
    with window.page.expect_request("**/rows*", timeout=POLL_MILLISECONDS):
        pass
    window.page.wait_for_function("() => true")
    switch.click()
    frame.locator("[role=switch][aria-checked=false]").wait_for()
    assert len(held) == 1
    with window.page.expect_response("**/rows*"):
        held[0]()
    switch.click()
    frame.locator("[role=switch][aria-checked=true]").wait_for()
    window.context.close()
    assert window.problems == []
