"""Several tokens and secrets at once, each until its end; when each was used last."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from functools import cache

import pytest

from tests.infrastructure.asgi_door import JSON, AsgiDoor
from tests.infrastructure.loop import new_receiver
from tests.infrastructure.webhooks_builder import ACTOR, Hook, rows, store_webhook, token_of

ORDER = b'{"number": 1}'
PROOFS = [{"kind": "header-key", "header": "X-Key"}]
HOUR = timedelta(hours=1)


class Clock:
    """A time that passes when a test says so; it begins now, for a rotation reads the machine's clock."""

    def __init__(self) -> None:
        self.time = datetime.now(timezone.utc)

    def __call__(self) -> datetime:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def door(clock) -> AsgiDoor:
    """A door with this clock."""
    return AsgiDoor(receiver=cache(lambda: new_receiver(now=clock)))


def rotated(hook: Hook, grace_hours: float = 0) -> Hook:
    """The webhook with its new token."""
    from inbound_webhooks.webhooks import service

    service.rotate(hook.id, actor=ACTOR, grace_hours=grace_hours)
    return Hook(hook.id, token_of(hook.id), hook.name)


def rotate_secret(hook: Hook, value: str, grace_hours: float = 0) -> None:
    from inbound_webhooks.webhooks import service
    from inbound_webhooks.webhooks.secrets import NewSecret

    service.rotate_secret(hook.id, NewSecret("signing", value), actor=ACTOR, grace_hours=grace_hours)


def status_with(door: AsgiDoor, hook: Hook, key: str) -> int:
    return door.post(hook.path, ORDER, [*JSON, ("x-key", key)]).status


def last_used(table: str) -> list[datetime | None]:
    return [row.last_used_at for row in rows(table)]


# --- tokens ---------------------------------------------------------------------------------


def test_both_tokens_open_the_door_until_the_grace_is_over(door, clock, database):
    old = store_webhook()
    new = rotated(old, grace_hours=1)
    assert new.token != old.token
    assert [door.post(hook.path, ORDER).status for hook in (old, new)] == [202, 202]
    clock.time += HOUR + timedelta(seconds=1)
    assert [door.post(hook.path, ORDER).status for hook in (old, new)] == [404, 202]


def test_a_token_that_is_over_looks_like_one_that_never_was(door, clock, sqlite_database):
    old = store_webhook()
    rotated(old, grace_hours=1)
    clock.time += 2 * HOUR
    over = door.request("POST", old.path, headers=JSON, chunks=[ORDER] * 3)
    never = door.request("POST", old.path[:-64] + "0" * 64, headers=JSON, chunks=[ORDER] * 3)
    assert (over.status, over.headers, over.body, over.chunks_read) == (404, never.headers, never.body, 0)


def test_a_token_that_was_rotated_without_grace_opens_nothing(door, database):
    old = store_webhook()
    new = rotated(old)
    assert [door.post(hook.path, ORDER).status for hook in (old, new)] == [404, 202]
    assert len(rows("token")) == 1


def test_no_grace_ends_a_grace_as_well(door, sqlite_database):
    first = store_webhook()
    second = rotated(first, grace_hours=24)
    third = rotated(second)
    assert [door.post(hook.path, ORDER).status for hook in (first, second, third)] == [404, 404, 202]


def test_a_second_grace_does_not_lengthen_the_first(door, clock, database):
    first = store_webhook()
    second = rotated(first, grace_hours=1)
    third = rotated(second, grace_hours=5)
    clock.time += 2 * HOUR
    assert [door.post(hook.path, ORDER).status for hook in (first, second, third)] == [404, 202, 202]


def test_each_token_has_its_own_time_of_last_use(door, clock, database):
    old = store_webhook()
    new = rotated(old, grace_hours=24)
    door.post(old.path, ORDER)
    first_use = clock.time
    assert last_used("token") == [first_use, None]
    clock.time += HOUR
    door.post(new.path, ORDER)
    assert last_used("token") == [first_use, clock.time]


# --- secrets --------------------------------------------------------------------------------


def test_both_secrets_prove_the_sender_until_the_grace_is_over(door, clock, database):
    hook = store_webhook(verification=PROOFS, secrets={"signing": "the old one"})
    rotate_secret(hook, "the new one", grace_hours=1)
    assert [status_with(door, hook, key) for key in ("the old one", "the new one")] == [202, 202]
    clock.time += HOUR + timedelta(seconds=1)
    assert [status_with(door, hook, key) for key in ("the old one", "the new one")] == [401, 202]


def test_a_secret_that_was_rotated_without_grace_proves_nothing(door, database):
    hook = store_webhook(verification=PROOFS, secrets={"signing": "the old one"})
    rotate_secret(hook, "the new one")
    assert [status_with(door, hook, key) for key in ("the old one", "the new one")] == [401, 202]
    assert len(rows("secret")) == 1


def test_each_secret_has_its_own_time_of_last_use(door, clock, database):
    hook = store_webhook(verification=PROOFS, secrets={"signing": "the old one"})
    rotate_secret(hook, "the new one", grace_hours=24)
    status_with(door, hook, "the old one")
    first_use = clock.time
    assert last_used("secret") == [first_use, None]
    clock.time += HOUR
    status_with(door, hook, "the new one")
    assert last_used("secret") == [first_use, clock.time]


def test_the_time_of_last_use_of_a_secret_is_written_at_most_once_a_minute(door, clock, sqlite_database):
    hook = store_webhook(verification=PROOFS, secrets={"signing": "the only one"})
    status_with(door, hook, "the only one")
    first_use = clock.time
    clock.time += timedelta(seconds=59)
    status_with(door, hook, "the only one")
    assert last_used("secret") == last_used("token") == [first_use]
    clock.time += timedelta(seconds=1)
    status_with(door, hook, "the only one")
    assert last_used("secret") == last_used("token") == [clock.time]


def test_a_verify_token_that_a_handshake_showed_counts_as_used(door, clock, database):
    secrets = {"signing": "the app's secret", "verify": "the verify token"}
    hook = store_webhook(preset="meta", secrets=secrets)
    query = b"hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=the+verify+token"
    assert door.request("GET", hook.path, query=query).status == 200
    used = {row.purpose: row.last_used_at for row in rows("secret")}
    assert used == {"signing": None, "verify": clock.time}


def test_who_is_not_proved_counts_as_no_use(door, sqlite_database):
    hook = store_webhook(verification=PROOFS, secrets={"signing": "the only one"})
    assert status_with(door, hook, "another one") == 401
    assert last_used("secret") == last_used("token") == [None]


def test_a_secret_for_one_purpose_is_none_for_another(door, sqlite_database):
    verification = [*PROOFS, {"kind": "header-key", "header": "X-Other", "purpose": "other"}]
    hook = store_webhook(verification=verification, secrets={"signing": "one", "other": "two"})
    sent = [[("x-key", first), ("x-other", second)] for first in ("one", "two") for second in ("one", "two")]
    assert [door.post(hook.path, ORDER, [*JSON, *keys]).status for keys in sent] == [401, 202, 401, 401]


def test_secrets_are_encrypted_where_they_are_stored(database):
    hook = store_webhook(verification=PROOFS, secrets={"signing": "canary-1"})
    rotate_secret(hook, "canary-2", grace_hours=1)
    everything = [rows(table) for table in ("webhook", "token", "secret")]
    assert len(rows("secret")) == 2
    assert "canary" not in repr(everything)
    assert hook.token not in repr(everything)
