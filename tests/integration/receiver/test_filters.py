"""What the filter leaves out is kept and answered, and runs nothing; what it cannot judge is not lost."""

from __future__ import annotations

import pytest

from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.webhooks_builder import ACTOR, change_webhook, rows, runs, states, store_webhook
from tests.integration.receiver.signed_posts import Sender
from tests.integration.receiver.test_senders_at_the_endpoint import ACCEPTED, named
from tests.promises.test_deduplication import dispatch
from tests.unit.presets.signed_cases import Case

MAIN, OTHER = b'{"ref": "main", "number": 1}', b'{"ref": "other", "number": 1}'
ONLY_MAIN = 'body.ref == "main"'


def counted(webhook_id: str) -> dict[str, int]:
    from inbound_webhooks.storage.database import transaction
    from inbound_webhooks.storage.deliveries import count_deliveries

    with transaction() as connection:
        return count_deliveries(connection, webhook_id)


def replay(delivery_id: str):
    from inbound_webhooks.deliveries.replay import replay
    from inbound_webhooks.receiver.instance import get_receiver

    return replay(get_receiver(), delivery_id, actor=ACTOR)


def test_no_is_answered_200_and_runs_nothing(asgi, database):
    store_dag("orders")
    hook = store_webhook(filter=ONLY_MAIN)
    reply = asgi.post(hook.path, OTHER)
    (stored,) = rows("delivery")
    assert (reply.status, reply.json) == (200, {"status": "filtered", "delivery_id": stored.id})
    assert (stored.state, stored.conf, stored.body, stored.response_status) == ("filtered", None, OTHER, 200)
    dispatch()
    assert (runs(), counted(hook.id)) == ([], {"filtered": 1})


def test_yes_is_accepted_and_runs(asgi, database):
    store_dag("orders")
    hook = store_webhook(filter=ONLY_MAIN)
    assert asgi.post(hook.path, MAIN).status == 202
    dispatch()
    assert len(runs()) == 1


def test_no_is_answered_with_the_template_where_there_is_one(asgi, sqlite_database):
    hook = store_webhook(
        filter=ONLY_MAIN, response_content_type="text/plain", response_template="thanks", response_status=201
    )
    assert (asgi.post(hook.path, OTHER).body, asgi.post(hook.path, MAIN).body) == (b"thanks", b"thanks")
    assert states() == ["accepted", "filtered"]


def test_what_is_filtered_need_not_fit_the_dags_params(asgi, orders):
    change_webhook(orders.id, filter=ONLY_MAIN)
    assert asgi.post(orders.path, b'{"ref": "other", "number": "many"}').status == 200
    assert asgi.post(orders.path, b'{"ref": "main", "number": "many"}').status == 422


@pytest.mark.parametrize("status", [422, 202])
def test_a_filter_that_fails_refuses_and_loses_nothing(asgi, database, status):
    hook = store_webhook(filter="body.number + body.ref", invalid_status=status)
    reply = asgi.post(hook.path, MAIN)
    (stored,) = rows("delivery")
    assert (reply.status, reply.json["status"]) == (status, "refused")
    assert (stored.state, stored.body) == ("refused", MAIN)
    assert "does not fit the data" in stored.error
    change_webhook(hook.id, filter=ONLY_MAIN)
    assert replay(stored.id).state == "accepted"


def test_a_filter_over_a_body_that_is_not_what_it_says_refuses_with_400(asgi, sqlite_database):
    hook = store_webhook(filter=ONLY_MAIN, invalid_status=202)
    reply = asgi.post(hook.path, b'{"ref": ')
    assert (reply.status, reply.json["status"], states()) == (400, "refused", ["refused"])


def test_what_a_filter_left_out_by_mistake_can_be_replayed_once_it_is_mended(asgi, database):
    from inbound_webhooks.errors import NotReplayable

    hook = store_webhook(filter=ONLY_MAIN)
    stored = asgi.post(hook.path, OTHER).json["delivery_id"]
    with pytest.raises(NotReplayable, match="filter"):
        replay(stored)
    change_webhook(hook.id, filter=None)
    assert replay(stored).state == "accepted"


@pytest.mark.parametrize(
    "source", ["", "body.ref ==", "a text with {{ body.ref }}", "nobody.ref", "x" * 70_000]
)
def test_a_filter_that_does_not_compile_is_refused_when_it_is_saved(sqlite_database, source):
    from inbound_webhooks.errors import InvalidDefinition

    with pytest.raises(InvalidDefinition, match=r"^filter: line 1"):
        store_webhook(filter=source)


# --- presets --------------------------------------------------------------------------------

PASSES = {
    "aws-eventbridge",
    "azure-event-grid",
    "dbt-cloud",
    "discord",
    "discord-interactions",
    "dropbox",
    "fivetran",
    "gitlab-signed",
    "google-pubsub",
    "meta",
    "microsoft-graph",
    "okta",
    "twitter",
    "typeform",
}
"""The presets whose example lets through what :data:`ONE_OF_EACH` holds of theirs, as read by a person."""

ONE_OF_EACH = list({case.preset.name: case for case in ACCEPTED if "unicode body" not in case.name}.values())


@named(ONE_OF_EACH)
def test_the_example_of_a_preset_judges_what_the_vendor_sends(sqlite_database, case: Case):
    sender = Sender.of(case, filter=case.preset.filter_example)
    sender.send()
    assert states() == ["accepted" if case.preset.name in PASSES else "filtered"]
