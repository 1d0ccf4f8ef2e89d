"""Several tokens and secrets at once, each until its end; when each was used last."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from functools import cache

import pytest

from tests.infrastructure.asgi_endpoint import JSON, AsgiEndpoint
from tests.infrastructure.loop import new_receiver
from tests.infrastructure.webhooks_builder import ACTOR, Hook, rows, store_webhook, token_of

ORDER = b'{"number": 1}'
VERIFICATION = [{"kind": "header-key", "header": "X-Key"}]
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
def endpoint(clock) -> AsgiEndpoint:
    """An endpoint with this clock."""
    return AsgiEndpoint(receiver=cache(lambda: new_receiver(now=clock)))


def rotated(hook: Hook, grace_hours: float = 0) -> Hook:
    """The webhook with its new token."""
    from inbound_webhooks.webhooks import service

    service.rotate(hook.id, actor=ACTOR, grace_hours=grace_hours)
    return Hook(hook.id, token_of(hook.id), hook.name)


def rotate_secret(hook: Hook, value: str, grace_hours: float = 0) -> None:
    from inbound_webhooks.webhooks import service
    from inbound_webhooks.webhooks.secrets import NewSecret

    service.rotate_secret(hook.id, NewSecret("signing", value), actor=ACTOR, grace_hours=grace_hours)


def status_with(endpoint: AsgiEndpoint, hook: Hook, key: str) -> int:
    return endpoint.post(hook.path, ORDER, [*JSON, ("x-key", key)]).status


def last_used(table: str) -> list[datetime | None]:
    return [row.last_used_at for row in rows(table)]


# --- tokens ---------------------------------------------------------------------------------


def test_both_tokens_open_the_endpoint_until_the_grace_is_over(endpoint, clock, database):
    old = store_webhook()
    new = rotated(old, grace_hours=1)
    assert new.token != old.token
    assert [endpoint.post(hook.path, ORDER).status for hook in (old, new)] == [202, 202]
    clock.time += HOUR + timedelta(minutes=1)  # the rotation may be seconds later than the clock
    assert [endpoint.post(hook.path, ORDER).status for hook in (old, new)] == [404, 202]


def test_a_token_that_is_over_looks_like_one_that_never_was(endpoint, clock, sqlite_database):
    old = store_webhook()
    rotated(old, grace_hours=1)
    clock.time += 2 * HOUR
    over = endpoint.request("POST", old.path, headers=JSON, chunks=[ORDER] * 3)
    never = endpoint.request("POST", old.path[:-64] + "0" * 64, headers=JSON, chunks=[ORDER] * 3)
    assert (over.status, over.headers, over.body, over.chunks_read) == (404, never.headers, never.body, 0)


def test_a_token_that_was_rotated_without_grace_opens_nothing(endpoint, database):
    old = store_webhook()
    new = rotated(old)
    assert [endpoint.post(hook.path, ORDER).status for hook in (old, new)] == [404, 202]
    assert len(rows("token")) == 1


def test_no_grace_ends_a_grace_as_well(endpoint, sqlite_database):
    first = store_webhook()
    second = rotated(first, grace_hours=24)
    third = rotated(second)
    assert [endpoint.post(hook.path, ORDER).status for hook in (first, second, third)] == [404, 404, 202]


def end_grace(hook: Hook) -> int:
    from inbound_webhooks.webhooks import service

    return service.end_grace(hook.id, actor=ACTOR)


def test_a_grace_that_is_ended_early_opens_nothing_any_more(endpoint, database):
    old = store_webhook()
    new = rotated(old, grace_hours=24)
    assert endpoint.post(old.path, ORDER).status == 202
    assert end_grace(old) == 1
    assert [endpoint.post(hook.path, ORDER).status for hook in (old, new)] == [404, 202]
    assert end_grace(old) == 0


def test_a_second_grace_does_not_lengthen_the_first(endpoint, clock, database):
    first = store_webhook()
    second = rotated(first, grace_hours=1)
    third = rotated(second, grace_hours=5)
    clock.time += 2 * HOUR
    assert [endpoint.post(hook.path, ORDER).status for hook in (first, second, third)] == [404, 202, 202]


def test_each_token_has_its_own_time_of_last_use(endpoint, clock, database):
    old = store_webhook()
    new = rotated(old, grace_hours=24)
    endpoint.post(old.path, ORDER)
    first_use = clock.time
    assert last_used("token") == [first_use, None]
    clock.time += HOUR
    endpoint.post(new.path, ORDER)
    assert last_used("token") == [first_use, clock.time]


# --- secrets --------------------------------------------------------------------------------


def test_both_secrets_prove_the_sender_until_the_grace_is_over(endpoint, clock, database):
    hook = store_webhook(verification=VERIFICATION, secrets={"signing": "the old one"})
    rotate_secret(hook, "the new one", grace_hours=1)
    assert [status_with(endpoint, hook, key) for key in ("the old one", "the new one")] == [202, 202]
    clock.time += HOUR + timedelta(minutes=1)  # the rotation may be seconds later than the clock
    assert [status_with(endpoint, hook, key) for key in ("the old one", "the new one")] == [401, 202]


def test_a_secret_whose_grace_is_ended_early_proves_nothing(endpoint, sqlite_database):
    hook = store_webhook(verification=VERIFICATION, secrets={"signing": "the old one"})
    rotate_secret(hook, "the new one", grace_hours=24)
    assert end_grace(hook) == 1
    assert [row.expires_at for row in rows("secret")] == [None]


def test_a_secret_that_was_rotated_without_grace_proves_nothing(endpoint, database):
    hook = store_webhook(verification=VERIFICATION, secrets={"signing": "the old one"})
    rotate_secret(hook, "the new one")
    assert [status_with(endpoint, hook, key) for key in ("the old one", "the new one")] == [401, 202]
    assert len(rows("secret")) == 1


def test_each_secret_has_its_own_time_of_last_use(endpoint, clock, database):
    hook = store_webhook(verification=VERIFICATION, secrets={"signing": "the old one"})
    rotate_secret(hook, "the new one", grace_hours=24)
    status_with(endpoint, hook, "the old one")
    first_use = clock.time
    assert last_used("secret") == [first_use, None]
    clock.time += HOUR
    status_with(endpoint, hook, "the new one")
    assert last_used("secret") == [first_use, clock.time]


def test_the_time_of_last_use_of_a_secret_is_written_at_most_once_a_minute(endpoint, clock, sqlite_database):
    hook = store_webhook(verification=VERIFICATION, secrets={"signing": "the only one"})
    status_with(endpoint, hook, "the only one")
    first_use = clock.time
    clock.time += timedelta(seconds=59)
    status_with(endpoint, hook, "the only one")
    assert last_used("secret") == last_used("token") == [first_use]
    clock.time += timedelta(seconds=1)
    status_with(endpoint, hook, "the only one")
    assert last_used("secret") == last_used("token") == [clock.time]


def test_a_verify_token_that_a_handshake_showed_counts_as_used(endpoint, clock, database):
    secrets = {"signing": "the app's secret", "verify": "the verify token"}
    hook = store_webhook(preset="meta", secrets=secrets)
    query = b"hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=the+verify+token"
    assert endpoint.request("GET", hook.path, query=query).status == 200
    used = {row.purpose: row.last_used_at for row in rows("secret")}
    assert used == {"signing": None, "verify": clock.time}


def test_an_unverified_request_counts_as_no_use(endpoint, sqlite_database):
    hook = store_webhook(verification=VERIFICATION, secrets={"signing": "the only one"})
    assert status_with(endpoint, hook, "another one") == 401
    assert last_used("secret") == last_used("token") == [None]


def test_a_secret_for_one_purpose_is_none_for_another(endpoint, sqlite_database):
    verification = [*VERIFICATION, {"kind": "header-key", "header": "X-Other", "purpose": "other"}]
    hook = store_webhook(verification=verification, secrets={"signing": "one", "other": "two"})
    sent = [[("x-key", first), ("x-other", second)] for first in ("one", "two") for second in ("one", "two")]
    assert [endpoint.post(hook.path, ORDER, [*JSON, *keys]).status for keys in sent] == [401, 202, 401, 401]


def test_secrets_are_encrypted_where_they_are_stored(database):
    hook = store_webhook(verification=VERIFICATION, secrets={"signing": "canary-1"})
    rotate_secret(hook, "canary-2", grace_hours=1)
    everything = [rows(table) for table in ("webhook", "token", "secret")]
    assert len(rows("secret")) == 2
    assert "canary" not in repr(everything)
    assert hook.token not in repr(everything)
