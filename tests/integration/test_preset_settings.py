"""What a preset fills in, and which secrets a webhook cannot do without."""

from __future__ import annotations

import pytest

from inbound_webhooks.presets import PRESETS
from tests.infrastructure.webhooks_builder import ACTOR, now, rows, store_webhook
from tests.unit.presets.vendor_secrets import vendor_secrets

SECRET = "canary-of-the-secret"


def test_a_draft_with_a_preset_has_its_settings_and_what_is_given_instead():
    from inbound_webhooks.webhooks import service

    stripe = PRESETS["stripe"]
    made = service.drafted(preset="stripe", name="a", dag_id="b", dedup="${Webhook::Body.other}")
    assert (made.preset, made.verification, made.dedup) == (
        "stripe",
        stripe.verification,
        "${Webhook::Body.other}",
    )
    assert (made.response_status, made.disabled_status, made.invalid_status) == (200, 503, 202)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_webhook_of_a_preset_is_stored_with_everything_that_the_preset_fills(sqlite_database, preset):
    from inbound_webhooks.webhooks import service
    from inbound_webhooks.webhooks.secrets import FILLED_FIELDS

    given = vendor_secrets(preset)
    hook = store_webhook(preset=preset, secrets=given)
    made = service.get(hook.id)
    assert {name: getattr(made, name) for name in FILLED_FIELDS} == {
        name: getattr(PRESETS[preset], name) for name in FILLED_FIELDS
    }
    assert [dict(scheme) for scheme in made.verification] == [
        dict(scheme) for scheme in PRESETS[preset].verification_with(given)
    ]
    assert sorted(row.purpose for row in rows("secret")) == sorted(given)


def test_a_preset_that_is_not_there_is_named():
    from inbound_webhooks.errors import InvalidDefinition
    from inbound_webhooks.webhooks import service

    with pytest.raises(InvalidDefinition, match=r"'githb' is not one of airbyte, .*github"):
        service.drafted(preset="githb", name="a", dag_id="b")


NEEDED = [
    (preset.name, needed) for preset in PRESETS.values() for needed in preset.secrets if not needed.optional
]


@pytest.mark.parametrize(("preset", "needed"), NEEDED, ids=lambda value: getattr(value, "purpose", value))
def test_a_secret_that_is_missing_is_named_with_where_to_find_it(sqlite_database, preset, needed):
    given = {purpose: held for purpose, held in vendor_secrets(preset).items() if purpose != needed.purpose}
    (missing,) = problems_with_secrets(store_webhook(preset=preset, secrets=given))
    assert (missing.code, missing.severity, missing.part) == ("secret-missing", "stops", needed.purpose)
    assert f"The {needed.purpose} secret is missing. " in missing.message
    assert f'"{needed.label}". {needed.help} Until then' in missing.message
    assert ("Choose one" in missing.message) == needed.chosen_here


@pytest.mark.parametrize("preset", ["azure-event-grid", "cloudevents", "google-pubsub", "sharepoint"])
def test_a_secret_that_may_be_left_out_is_for_nothing_once_it_was(sqlite_database, preset):
    from inbound_webhooks.errors import InvalidDefinition
    from inbound_webhooks.webhooks import service
    from inbound_webhooks.webhooks.secrets import NewSecret

    hook = store_webhook(preset=preset)
    assert not service.get(hook.id).verification
    with pytest.raises(InvalidDefinition, match="this webhook uses no signing secret"):
        service.rotate_secret(hook.id, NewSecret("signing", SECRET), actor=ACTOR)
    assert rows("secret") == []


@pytest.mark.parametrize(
    "value", ["", " ", f" {SECRET}", f"{SECRET}\n{SECRET}", "\0" + SECRET, "\udc80" + SECRET]
)
@pytest.mark.parametrize(
    "preset", ["github", "twilio", "sendgrid", "discord", "aws-sns", "standard-webhooks"]
)
def test_a_secret_that_cannot_be_used_is_refused_without_being_repeated(sqlite_database, preset, value):
    from inbound_webhooks.errors import InvalidDefinition

    with pytest.raises(InvalidDefinition) as refused:
        store_webhook(preset=preset, secrets={"signing": value})
    assert SECRET not in refused.value.message
    assert (rows("webhook"), rows("secret")) == ([], [])


def problems_with_secrets(hook):
    """The problems of a webhook that concern its secrets."""
    from inbound_webhooks.webhooks import readiness, service

    found = readiness.reasons_of(service.get(hook.id))
    return [reason for reason in found if reason.code.startswith("secret-")]


@pytest.mark.parametrize("enabled", [True, False])
def test_a_webhook_waits_for_its_secrets_whether_it_is_enabled_or_not(sqlite_database, enabled):
    from inbound_webhooks.webhooks import service
    from inbound_webhooks.webhooks.secrets import NewSecret

    hook = store_webhook(preset="meta", secrets={"signing": SECRET}, enabled=enabled)
    assert [reason.part for reason in problems_with_secrets(hook)] == ["verify"]
    assert service.set_enabled(hook.id, True, actor=ACTOR).enabled
    service.rotate_secret(hook.id, NewSecret("verify", "v"), actor=ACTOR)
    assert problems_with_secrets(hook) == []


def test_a_problem_with_a_secret_names_its_purpose(sqlite_database):
    from inbound_webhooks.errors import InvalidDefinition

    with pytest.raises(InvalidDefinition) as refused:
        store_webhook(preset="meta", secrets={"signing": SECRET, "verify": " "})
    assert (refused.value.problem.field, refused.value.problem.part) == ("secrets", "verify")


def test_a_secret_that_has_ended_is_a_problem(sqlite_database):
    hook = store_webhook(preset="github", secrets={"signing": SECRET})
    end_secrets(hook.id)
    assert [reason.code for reason in problems_with_secrets(hook)] == ["secret-expired"]


def end_secrets(webhook_id: str) -> None:
    from inbound_webhooks.storage.credentials import end_secrets
    from inbound_webhooks.storage.database import transaction

    with transaction() as connection:
        end_secrets(connection, webhook_id, "signing", now())
