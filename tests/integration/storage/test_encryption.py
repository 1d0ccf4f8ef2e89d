"""Tokens and credentials at rest: unreadable without the key, readable after it was changed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.infrastructure.environment import FERNET_KEY
from tests.infrastructure.loop import answer_of, new_receiver
from tests.infrastructure.webhooks_builder import ACTOR, rows, store_webhook, token_of

NEW_KEY = "bmV3ZXIga2V5IGZvciB0ZXN0cywgb2YgMzIgYnl0ZXM="
OTHER_KEY = "b3RoZXIga2V5IGZvciB0ZXN0cywgb2YgMzIgYnl0ZXM="
SECRETS = {
    "bearer": "Bearer 9f3c-canary-of-a-header",
    "cookie": "session=canary-of-a-cookie",
    "query": "canary-of-a-query",
}


def deliver_with_credentials(webhook_id: str) -> None:
    """One delivery whose headers and query hold credentials."""
    from inbound_webhooks.event.request import InboundRequest
    from inbound_webhooks.monitoring.clock import utc_now
    from inbound_webhooks.receiver.admission import RequestHead

    head = RequestHead(
        method="POST", webhook_id=webhook_id, token=token_of(webhook_id), declared_length=None, source_ip=""
    )
    request = InboundRequest(
        method="POST",
        query_string=f"token={SECRETS['query']}&seen=visible-in-the-query",
        headers=(("Authorization", SECRETS["bearer"]), ("Cookie", SECRETS["cookie"]), ("X-Seen", "visible")),
        body=b"the body",
        source_ip="",
        received_at=utc_now(),
    )
    assert answer_of(new_receiver(), head, request).status == 202


def whole_database(database) -> str:
    """Everything that is stored, as text."""
    from airflow import settings
    from sqlalchemy import inspect, text

    if database.backend == "sqlite":
        path = Path(database.url.removeprefix("sqlite:///"))
        files = [path, path.with_name(path.name + "-wal")]
        return "".join(file.read_bytes().decode("latin-1") for file in files if file.exists())
    with settings.engine.connect() as connection:
        names = inspect(connection).get_table_names()
        found = [connection.scalars(text(f'SELECT t::text FROM "{name}" t')) for name in names]
        return "\n".join(line for lines in found for line in lines)


def test_no_token_is_readable_in_the_database(database):
    hook = store_webhook()
    stored = whole_database(database)
    assert hook.id in stored
    assert hook.token not in stored


def test_no_rotated_token_is_readable_in_the_database(database):
    from inbound_webhooks.webhooks import service

    hook = store_webhook()
    service.rotate(hook.id, actor=ACTOR)
    stored = whole_database(database)
    assert hook.token not in stored
    assert token_of(hook.id) not in stored


def test_no_credential_of_a_request_is_readable_in_the_database(database):
    deliver_with_credentials(store_webhook(mapping={"seen": "${Webhook::Query.seen}"}).id)
    stored = whole_database(database)
    assert "visible" in stored
    assert [name for name, secret in SECRETS.items() if secret in stored] == []


def test_nothing_is_encrypted_with_an_empty_key(use_fernet_key):
    from inbound_webhooks.errors import FernetKeyMissing
    from inbound_webhooks.storage.encryption import encrypt

    use_fernet_key("")
    with pytest.raises(FernetKeyMissing, match=r"\[core\] fernet_key"):
        encrypt("a token")


def test_no_webhook_is_made_with_an_empty_key(sqlite_database, use_fernet_key):
    from inbound_webhooks.errors import FernetKeyMissing

    use_fernet_key("")
    with pytest.raises(FernetKeyMissing):
        store_webhook()
    assert rows("webhook") == []


@pytest.mark.parametrize("keys", [OTHER_KEY, ""], ids=["another key", "an empty key"])
def test_a_token_is_unreadable_with(use_fernet_key, keys):
    from inbound_webhooks.errors import TokenUnreadable
    from inbound_webhooks.storage.encryption import decrypt, encrypt

    use_fernet_key(FERNET_KEY)
    encrypted = encrypt("a token")
    use_fernet_key(keys)
    with pytest.raises(TokenUnreadable):
        decrypt(encrypted)


def test_after_the_key_was_rotated_the_new_one_alone_is_enough(database, use_fernet_key):
    from inbound_webhooks.webhooks.reencryption import reencrypt_all

    hook = store_webhook()
    deliver_with_credentials(hook.id)
    use_fernet_key(f"{NEW_KEY},{FERNET_KEY}")
    assert reencrypt_all(actor=ACTOR) == {
        "tokens": 1,
        "secrets": 0,
        "deliveries": 1,
        "replay jobs": 0,
    }
    use_fernet_key(NEW_KEY)
    assert token_of(hook.id) == hook.token
    assert SECRETS["bearer"] in restored_headers()


def test_without_a_rotation_the_new_key_alone_is_not_enough(sqlite_database, use_fernet_key):
    from inbound_webhooks.errors import TokenUnreadable

    hook = store_webhook()
    use_fernet_key(NEW_KEY)
    with pytest.raises(TokenUnreadable):
        token_of(hook.id)


def test_a_rotation_without_the_old_key_changes_nothing(database, use_fernet_key):
    from inbound_webhooks.errors import TokenUnreadable
    from inbound_webhooks.webhooks.reencryption import reencrypt_all

    store_webhook("first")
    use_fernet_key(f"{NEW_KEY},{FERNET_KEY}")
    store_webhook("second")
    use_fernet_key(NEW_KEY)
    before = rows("token")
    with pytest.raises(TokenUnreadable):
        reencrypt_all(actor=ACTOR)
    assert rows("token") == before


def test_a_rotation_with_an_empty_key_is_refused(sqlite_database, use_fernet_key):
    from inbound_webhooks.errors import FernetKeyMissing
    from inbound_webhooks.webhooks.reencryption import reencrypt_all

    store_webhook()
    use_fernet_key("")
    with pytest.raises(FernetKeyMissing):
        reencrypt_all(actor=ACTOR)


def test_the_same_token_looks_different_each_time(use_fernet_key):
    from inbound_webhooks.storage.encryption import encrypt

    use_fernet_key(FERNET_KEY)
    assert encrypt("a token") != encrypt("a token")


def test_every_column_that_is_encrypted_takes_part_in_a_rotation():
    from inbound_webhooks.storage import tables
    from inbound_webhooks.storage.credentials import ENCRYPTED_COLUMNS

    named = {
        (table.name, column.name)
        for table in tables.metadata.tables.values()
        for column in table.columns
        if re.search("encrypted|credentials|claims", column.name)
    }
    assert {(table.name, column) for table, column in ENCRYPTED_COLUMNS.values()} == named


def restored_headers() -> list[str]:
    from inbound_webhooks.deliveries.stored_request import restore
    from inbound_webhooks.storage.database import transaction
    from inbound_webhooks.storage.deliveries import find_delivery

    with transaction() as connection:
        stored = find_delivery(connection, rows("delivery")[0].id)
    return [value for _, value in restore(stored).headers]
