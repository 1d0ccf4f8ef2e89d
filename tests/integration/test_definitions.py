"""Creating, changing and deleting webhooks, by command, page or API."""

from __future__ import annotations

import json
import re
import threading

import pytest

from inbound_webhooks.webhooks import service
from tests.infrastructure.webhooks_builder import (
    ACTOR,
    audit_rows,
    now,
    rows,
    store_delivery,
    store_webhook,
    token_of,
)

ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{9}")
TOKEN = re.compile(r"[0-9a-f]{64}")


def draft(**fields):
    from inbound_webhooks.webhooks.service import Draft

    return Draft(**{"name": "orders of the shop", "dag_id": "orders", "mapping": {}} | fields)


def create(**fields):
    from inbound_webhooks.webhooks import service

    return service.create(draft(**fields), actor=ACTOR)


# --- creating -------------------------------------------------------------------------------


def test_ids_are_url_safe_and_tokens_have_256_bits(sqlite_database):
    hooks = [store_webhook(f"webhook {number}") for number in range(30)]
    assert all(ID.fullmatch(hook.id) for hook in hooks)
    assert all(TOKEN.fullmatch(hook.token) for hook in hooks)
    assert len({hook.id for hook in hooks} | {hook.token for hook in hooks}) == 60


def test_a_webhook_is_stored_as_it_was_drafted(database):
    from inbound_webhooks.webhooks import service

    made = create(
        mapping={"b": "${Webhook::Body.b}", "a": "1"},
        enabled=False,
        response_content_type="text/plain",
        response_template="thanks",
        response_status=201,
        notify_success=("a@example.com",),
        notify_failure=("b@mail.internal", "c@example.com"),
    )
    assert service.get(made.id) == made
    assert service.get(made.name) == made


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"name": ""}, "name"),
        ({"name": "  "}, "name"),
        ({"name": "two\nlines"}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"dag_id": " "}, "dag id"),
        ({"dag_id": "x" * 251}, "dag id"),
        ({"response_status": 199}, "response status"),
        ({"response_status": 302}, "response status"),
        ({"response_status": 204, "response_template": "1"}, "response status"),
        ({"response_content_type": "text/html"}, "response content type"),
        ({"disabled_status": 404}, "disabled status"),
        ({"invalid_status": 500}, "invalid status"),
        ({"mapping": {"number": "${Webhook::Nowhere.a}"}}, "mapping number"),
        ({"mapping": {" ": "1"}}, "mapping"),
        ({"response_template": '{"a": '}, "JSON"),
        ({"response_template": "{{ body"}, "line 1"),
        ({"notify_success": ["nobody"]}, "notify success: 'nobody'"),
        ({"notify_failure": ["a@b.example", "two@at@b.example"]}, "notify failure: 'two@at"),
        ({"notify_failure": ["a@b.example, c@d.example"]}, "notify failure"),
        ({"notify_failure": ["a@b.example\r\nBcc: c@d.example"]}, "notify failure"),
        ({"notify_failure": ["a\n@b.example"]}, "is not an e-mail address"),
        ({"notify_failure": ["a@b.example", "a@b.example"]}, "twice"),
        ({"notify_failure": [f"a{n}@b.example" for n in range(51)]}, "more than 50"),
    ],
    ids=lambda value: "" if isinstance(value, str) else "-".join(value),
)
def test_a_field_that_cannot_be_used_is_named_and_nothing_is_stored(sqlite_database, fields, named):
    from inbound_webhooks.errors import DefinitionError

    with pytest.raises(DefinitionError, match=named):
        create(**fields)
    assert (rows("webhook"), audit_rows()) == ([], [])


@pytest.mark.parametrize("name", ["x" * 200, "ä ö", "日本", "a/b", "-dash", "'; DROP TABLE"])
def test_an_unusual_name_is_a_name(database, name):
    from inbound_webhooks.webhooks import service

    made = create(name=name)
    assert service.get(name).id == made.id


def test_a_name_is_taken_once(database):
    from inbound_webhooks.errors import WebhookExists

    create(dag_id="one")
    with pytest.raises(WebhookExists, match="orders of the shop"):
        create(dag_id="two")
    assert [row.dag_id for row in rows("webhook")] == ["one"]


LIMITS = {
    "max_per_second": "max per second",
    "max_backlog": "max backlog",
    "max_active_runs": "max active runs",
}


@pytest.mark.parametrize("number", [-1, 0, 1_000_001, 2**63])
@pytest.mark.parametrize("limit", LIMITS)
def test_a_limit_that_no_webhook_could_have_is_refused(sqlite_database, limit, number):
    from inbound_webhooks.errors import InvalidDefinition

    with pytest.raises(InvalidDefinition, match=LIMITS[limit]):
        create(**{limit: number})


# --- changing -------------------------------------------------------------------------------


def test_each_change_raises_the_version(database):
    from inbound_webhooks.webhooks import service

    hook = store_webhook()
    service.set_enabled(hook.id, False, actor=ACTOR)
    service.set_enabled(hook.id, True, actor=ACTOR)
    service.rotate(hook.id, actor=ACTOR)
    assert service.get(hook.id).version == 4


def test_a_rotation_gives_one_new_token(database):
    from inbound_webhooks.webhooks import service

    hook = store_webhook()
    service.rotate(hook.name, actor=ACTOR)
    assert token_of(hook.id) != hook.token
    assert len(rows("token")) == 1


@pytest.mark.parametrize("change", ["set_enabled", "rotate", "delete", "get"])
def test_a_webhook_that_is_not_there_is_named(sqlite_database, change):
    from inbound_webhooks.errors import WebhookNotFound

    arguments = {"set_enabled": {"enabled": True, "actor": ACTOR}, "get": {}}.get(change, {"actor": ACTOR})
    with pytest.raises(WebhookNotFound, match="nobody"):
        getattr(service, change)("nobody", **arguments)


def test_a_rotation_leaves_a_disabled_webhook_disabled_that_was_enabled_when_it_began(
    postgres_cluster, postgres_database
):
    """Two people at once: the one who disables has not committed when the other one begins."""
    from inbound_webhooks.webhooks import service

    hook = store_webhook()
    other = postgres_cluster.connect("airflow")
    other.autocommit = False
    other.cursor().execute(
        "UPDATE inbound_webhook SET enabled = false, version = version + 1 WHERE id = %s", (hook.id,)
    )
    rotating = threading.Thread(target=service.rotate, args=(hook.id,), kwargs={"actor": ACTOR})
    rotating.start()
    postgres_cluster.wait_until_blocked()
    other.commit()
    rotating.join(10)
    assert not service.get(hook.id).enabled


def test_a_webhook_that_is_deleted_meanwhile_is_not_found(postgres_cluster, postgres_database):
    from inbound_webhooks.errors import WebhookNotFound
    from inbound_webhooks.webhooks import service

    hook, outcome = store_webhook(), []
    other = postgres_cluster.connect("airflow")
    other.autocommit = False
    other.cursor().execute("DELETE FROM inbound_webhook WHERE id = %s", (hook.id,))

    def rotate() -> None:
        try:
            outcome.append(service.rotate(hook.id, actor=ACTOR))
        except Exception as error:  # noqa: BLE001 - which one it is is the question
            outcome.append(type(error))

    rotating = threading.Thread(target=rotate)
    rotating.start()
    postgres_cluster.wait_until_blocked()
    other.commit()
    rotating.join(10)
    assert outcome == [WebhookNotFound]


def test_deleting_says_how_many_deliveries_were_cancelled(database):
    from inbound_webhooks.webhooks import service

    hook = store_webhook()
    for state in ("accepted", "accepted", "dispatched", "refused"):
        store_delivery(hook, state=state)
    assert service.delete(hook.id, actor=ACTOR) == 2
    assert rows("webhook") == rows("token") == []


# --- the audit log --------------------------------------------------------------------------


def test_each_change_is_in_the_audit_log_with_its_user_and_without_a_token(database):
    from inbound_webhooks.webhooks import service
    from inbound_webhooks.webhooks.reencryption import reencrypt_all

    hook = store_webhook()
    service.set_enabled(hook.id, False, actor="bob")
    service.set_enabled(hook.id, True, actor="bob")
    service.rotate(hook.id, actor="bob")
    tokens = [hook.token, token_of(hook.id)]
    reencrypt_all(actor="bob")
    service.delete(hook.id, actor="bob")
    assert [(entry.event, entry.owner) for entry in audit_rows()] == [
        ("webhook.create", ACTOR),
        ("webhook.disable", "bob"),
        ("webhook.enable", "bob"),
        ("webhook.rotate", "bob"),
        ("webhook.rotate_fernet", "bob"),
        ("webhook.delete", "bob"),
    ]
    assert not [token for token in tokens if token in repr(audit_rows())]


def test_an_entry_of_the_audit_log_names_webhook_and_dag(database):
    hook = store_webhook(mapping={"number": "1"})
    (entry,) = audit_rows()
    assert entry.dag_id == "orders"
    assert json.loads(entry.extra) == {
        "webhook": hook.name,
        "webhook_id": hook.id,
        "mapping": {"number": "1"},
    }


def test_a_change_that_fails_is_not_in_the_audit_log(database):
    from inbound_webhooks.errors import WebhookExists

    store_webhook()
    with pytest.raises(WebhookExists):
        store_webhook()
    assert len(audit_rows()) == 1


# --- the address ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("section", "option", "value", "before"),
    [
        ("API", "BASE_URL", "https://airflow.example.com", "https://airflow.example.com/pluginsv2"),
        ("API", "BASE_URL", "https://example.com/airflow/", "https://example.com/airflow/pluginsv2"),
        ("INBOUND_WEBHOOKS", "PUBLIC_URL", "https://hooks.example.com", "https://hooks.example.com"),
        ("INBOUND_WEBHOOKS", "PUBLIC_URL", "https://example.com/in/", "https://example.com/in"),
        ("API", "PORT", "8099", "http://localhost:8099/pluginsv2"),
    ],
    ids=["base_url", "base_url with a path", "public_url", "public_url with a path", "neither"],
)
def test_a_url_begins_with_what_is_set(sqlite_database, monkeypatch, section, option, value, before):
    from inbound_webhooks.webhooks import service

    hook = store_webhook()
    monkeypatch.setenv(f"AIRFLOW__{section}__{option}", value)
    assert service.url(service.get(hook.id)) == f"{before}/webhook/{hook.id}/{hook.token}"


# --- rotation -------------------------------------------------------------------------------

SECRET = "canary-of-the-secret"


def purposes() -> list[tuple[str, bool]]:
    """Purpose and whether it ends, of each secret, oldest first."""
    return [(row.purpose, row.expires_at is not None) for row in rows("secret")]


def secret(purpose: str = "signing", value: str = SECRET):
    from inbound_webhooks.webhooks.secrets import NewSecret

    return NewSecret(purpose, value)


def test_the_newest_token_is_in_the_url_and_the_old_one_ends_when_its_grace_is_over(database):
    from inbound_webhooks.webhooks import service

    hook = store_webhook()
    before = now()
    service.rotate(hook.id, actor=ACTOR, grace_hours=1.5)
    old, new = rows("token")
    assert token_of(hook.id) != hook.token
    assert new.expires_at is None
    assert 5400 <= (old.expires_at - before).total_seconds() < 5460


def test_a_longer_grace_does_not_prolong_an_older_token(database):
    from inbound_webhooks.webhooks import service

    hook = store_webhook()
    service.rotate(hook.id, actor=ACTOR, grace_hours=1)
    first_end = rows("token")[0].expires_at
    service.rotate(hook.id, actor=ACTOR, grace_hours=48)
    oldest, old, new = rows("token")
    assert oldest.expires_at == first_end
    assert old.expires_at > first_end
    assert new.expires_at is None


def test_a_rotation_without_grace_ends_those_with_grace_too(database):
    from inbound_webhooks.webhooks import service

    hook = store_webhook(preset="github", secrets={"signing": "the first"})
    for _ in range(2):
        service.rotate(hook.id, actor=ACTOR, grace_hours=1)
        service.rotate_secret(hook.id, secret(), actor=ACTOR, grace_hours=1)
    assert (len(rows("token")), len(rows("secret"))) == (3, 3)
    service.rotate(hook.id, actor=ACTOR)
    service.rotate_secret(hook.id, secret(), actor=ACTOR)
    assert (len(rows("token")), purposes()) == (1, [("signing", False)])


def test_rotating_one_secret_leaves_those_for_other_purposes(database):
    from inbound_webhooks.webhooks import service

    hook = store_webhook(preset="meta", secrets={"signing": "s", "verify": "v"})
    service.rotate_secret(hook.id, secret("verify"), actor=ACTOR, grace_hours=1)
    assert purposes() == [("signing", False), ("verify", True), ("verify", False)]
    service.rotate_secret(hook.id, secret("verify"), actor=ACTOR)
    assert purposes() == [("signing", False), ("verify", False)]


def test_a_new_secret_raises_the_version_so_that_no_request_is_judged_by_the_old_one(database):
    from inbound_webhooks.webhooks import service

    hook = store_webhook(preset="github", secrets={"signing": "the first"})
    service.rotate_secret(hook.id, secret(), actor=ACTOR)
    assert service.get(hook.id).version == 2


def test_secrets_go_with_their_webhook(database):
    from inbound_webhooks.webhooks import service

    hook = store_webhook(preset="meta", secrets={"signing": "s", "verify": "v"})
    service.delete(hook.id, actor=ACTOR)
    assert rows("secret") == []


def test_the_audit_log_has_which_secret_was_rotated_and_how_but_not_the_secret(database):
    from inbound_webhooks.webhooks import service

    hook = store_webhook(preset="github", secrets={"signing": SECRET})
    service.rotate_secret(hook.id, secret(value=f"{SECRET} of today"), actor="bob", grace_hours=2)
    entry = audit_rows()[-1]
    assert (entry.event, entry.owner) == ("webhook.rotate_secret", "bob")
    assert json.loads(entry.extra) == {
        "webhook": hook.name,
        "webhook_id": hook.id,
        "purpose": "signing",
        "grace_hours": 2,
    }
    assert SECRET not in repr(audit_rows())


def test_secrets_are_encrypted_again_with_the_tokens(database):
    from inbound_webhooks.webhooks.reencryption import reencrypt_all

    store_webhook(preset="github", secrets={"signing": SECRET})
    before = rows("secret")[0].encrypted
    counts = {"tokens": 1, "secrets": 1, "deliveries": 0, "replay jobs": 0}
    assert reencrypt_all(actor=ACTOR) == counts
    assert SECRET not in before
    assert rows("secret")[0].encrypted != before
