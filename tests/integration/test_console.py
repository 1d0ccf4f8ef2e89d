"""What the commands print of a sender's text stays text, whatever is in it."""

from __future__ import annotations

import json

import pytest

from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.webhooks_builder import store_delivery, store_webhook

MARKUP = "[/x] [red]a[/red] [link=http://evil.example]b[/link]"
ORDERS = "\x1b]0;title\x07 \x9b31m \u202e"


@pytest.fixture
def delivery(sqlite_database):
    """The id of one whose body, query and kind want more than to be read."""
    store_dag("orders")
    body = json.dumps({"text": MARKUP + ORDERS}, ensure_ascii=False).encode()
    return store_delivery(
        store_webhook(),
        body=body,
        headers="[]",
        query_string=MARKUP,
        event_type=MARKUP,
        error=MARKUP + ORDERS,
    )


def test_markup_is_shown_and_not_followed(webhooks, delivery):
    shown, listed = webhooks("delivery", delivery), webhooks("deliveries")
    assert (shown.status, listed.status) == (0, 0)
    assert "[/x]" in shown.out
    assert "[red]" in shown.out
    assert "evil.example" in shown.out


@pytest.mark.parametrize("output", ["table", "plain", "json", "yaml"])
def test_no_character_gives_an_order_to_the_terminal(webhooks, delivery, output):
    for command in (("delivery", delivery), ("deliveries",)):
        shown = webhooks(*command, "-o", output).out
        assert not set(shown) & set("\x1b\x07\x9b")


def test_json_holds_the_same_text_nevertheless(webhooks, delivery):
    shown = json.loads(webhooks("delivery", delivery, "-o", "json").out)
    assert shown["error"] == MARKUP + ORDERS
    assert json.loads(shown["request"]["body"]) == {"text": MARKUP + ORDERS}
