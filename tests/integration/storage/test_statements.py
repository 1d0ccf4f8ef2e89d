"""Statements whose result is more than what they say."""

from __future__ import annotations

import pytest

from tests.infrastructure.webhooks_builder import (
    change_webhook,
    made_delivery,
    now,
    rows,
    store_deliveries,
    store_delivery,
    store_webhook,
)


def note_rejections(webhook_id: str, *reasons: str) -> None:
    from inbound_webhooks.records.delivery import Rejection
    from inbound_webhooks.storage.database import transaction
    from inbound_webhooks.storage.rejections import insert_rejections

    noted = [
        Rejection(
            webhook_id=webhook_id,
            rejected_at=now(),
            source_ip="::1",
            method="PUT",
            status=405,
            reason=reason,
        )
        for reason in reasons
    ]
    with transaction() as connection:
        insert_rejections(connection, noted)


def test_the_newest_fifty_rejections_of_a_webhook_are_kept(database):
    note_rejections("first", *(f"number {number}" for number in range(40)))
    note_rejections("first", *(f"number {number}" for number in range(40, 60)))
    assert [row.reason for row in rows("rejection")] == [f"number {number}" for number in range(10, 60)]


def test_rejections_of_one_webhook_do_not_push_out_anothers(database):
    note_rejections("quiet", "the only one")
    note_rejections("noisy", *(f"number {number}" for number in range(70)))
    kept = [row.webhook_id for row in rows("rejection")]
    assert (kept.count("quiet"), kept.count("noisy")) == (1, 50)


def test_a_deleted_webhook_takes_its_tokens_along_and_leaves_its_deliveries(database):
    from inbound_webhooks.storage.database import transaction
    from inbound_webhooks.storage.webhooks import delete_webhook

    hook = store_webhook()
    store_delivery(hook)
    with transaction() as connection:
        delete_webhook(connection, hook.id)
    assert rows("token") == []
    assert len(rows("delivery")) == 1


@pytest.mark.parametrize("locked", [False, True])
def test_an_id_wins_over_a_name(database, locked):
    from inbound_webhooks.storage.database import transaction
    from inbound_webhooks.storage.webhooks import find_webhook

    by_id, by_name = store_webhook("first"), store_webhook("second")
    change_webhook(by_name.id, name=by_id.id)
    with transaction() as connection:
        assert find_webhook(connection, by_id.id, locked=locked).id == by_id.id


def test_a_mapping_keeps_the_order_of_its_lines(database):
    from inbound_webhooks.webhooks import service

    hook = store_webhook(mapping={"z": "1", "a": "2", "m": "3"})
    assert list(service.get(hook.id).mapping) == ["z", "a", "m"]


def deliver(hook, number: int, dedup_key: str | None = None, *, version: int = 1) -> str | None:
    """Store a delivery as the inbox does."""
    from inbound_webhooks.storage.database import autocommit
    from inbound_webhooks.storage.deliveries import insert_delivery

    made = made_delivery(hook, number, dedup_key=dedup_key)
    return autocommit(lambda connection: insert_delivery(connection, made, version))


def numbered(*numbers: int) -> list[str]:
    return [f"{number:032}" for number in numbers]


def test_a_deduplication_key_is_held_once_for_each_webhook(database):
    first, second = store_webhook("first"), store_webhook("second")
    stored = [deliver(first, 1, "key"), deliver(first, 2, "key"), deliver(second, 3, "key")]
    assert stored == numbered(1, 1, 3)
    assert [row.id for row in rows("delivery")] == numbered(1, 3)


def test_any_number_of_deliveries_hold_no_key(database):
    hook = store_webhook()
    assert [deliver(hook, number) for number in range(3)] == numbered(0, 1, 2)


def test_a_delivery_for_another_version_of_its_webhook_is_not_stored(database):
    hook = store_webhook()
    assert [deliver(hook, 1, "key", version=version) for version in (2, 0)] == [None, None]
    assert rows("delivery") == []


def test_the_insert_alone_says_whether_it_stored_the_delivery(database):
    from inbound_webhooks.storage.database import transaction
    from inbound_webhooks.storage.deliveries import try_insert_delivery

    hook = store_webhook()
    stored, of_another_version = made_delivery(hook, 1), made_delivery(hook, 2)
    with transaction() as connection:
        assert try_insert_delivery(connection, stored, 1)
        assert not try_insert_delivery(connection, stored, 1)
        assert not try_insert_delivery(connection, of_another_version, 2)


def test_a_delivery_that_is_stored_already_is_found_and_not_written_twice(database):
    """The answer to the first try may get lost behind its commit."""
    hook = store_webhook()
    assert [deliver(hook, 1), deliver(hook, 1), deliver(hook, 2, "key"), deliver(hook, 2, "key")] == numbered(
        1, 1, 2, 2
    )
    assert [row.id for row in rows("delivery")] == numbered(1, 2)


def test_every_column_of_a_delivery_is_stored_as_it_is(database):
    from msgspec.structs import replace

    from inbound_webhooks.storage.database import autocommit
    from inbound_webhooks.storage.deliveries import find_delivery, insert_delivery

    made = replace(
        made_delivery(store_webhook(), 1, dedup_key="key"),
        body=bytes(range(256)),
        conf='{"ä": "\\u0001"}',
        credentials="sealed",
        event_type="push",
        next_attempt_at=now(),
        body_stored=False,
    )
    autocommit(lambda connection: insert_delivery(connection, made, 1))
    assert autocommit(lambda connection: find_delivery(connection, made.id)) == made


def test_what_is_counted_of_the_backlog_has_an_end(database):
    from inbound_webhooks.storage.database import transaction
    from inbound_webhooks.storage.deliveries import count_accepted, count_accepted_by_webhook

    hook, other = store_webhook(), store_webhook("another")
    store_deliveries(hook, 5)
    store_delivery(hook, state="dispatched")
    store_delivery(other)
    with transaction() as connection:
        assert [count_accepted(connection, hook.id, limit) for limit in (3, 5, 9)] == [3, 5, 5]
        assert count_accepted_by_webhook(connection, 9) == {hook.id: 5, other.id: 1}
        assert sum(count_accepted_by_webhook(connection, 3).values()) == 3


def test_credentials_come_newest_first_with_what_they_are_for(database):
    from inbound_webhooks.storage.credentials import find_with_credentials
    from inbound_webhooks.storage.database import transaction
    from inbound_webhooks.webhooks import service
    from inbound_webhooks.webhooks.secrets import NewSecret

    verification = [{"kind": "header-key", "header": "X-Key"}]
    hook = store_webhook(verification=verification, secrets={"signing": "old"})
    service.rotate_secret(hook.id, NewSecret("signing", "new"), actor="a tester", grace_hours=1)
    with transaction() as connection:
        webhook, held = find_with_credentials(connection, hook.id)
    secrets = [credential for credential in held if credential.purpose == "signing"]
    assert [credential.expires_at is None for credential in secrets] == [True, False]
    assert (webhook.id, len(held)) == (hook.id, 3)
