"""No handshake signs a text of its caller with the secret of another sender."""

from __future__ import annotations

from dataclasses import replace

import pytest

from inbound_webhooks.errors import InvalidDefinition
from inbound_webhooks.event.handshakes.registry import HANDSHAKES
from inbound_webhooks.presets import PRESETS
from tests.infrastructure.webhooks_builder import audit_rows, rows, store_webhook

SECRET = "the secret of another sender"
SIGNING = ("twitter", "zoom")
OTHERS = sorted(
    name
    for name, preset in PRESETS.items()
    if name not in SIGNING and any(secret.purpose == "signing" for secret in preset.secrets)
)


def definition(preset: str, handshake: str):
    from inbound_webhooks.webhooks.service import drafted

    return drafted(preset=preset, purposes={"signing"}, name="n", dag_id="orders", handshake=handshake)


def compiled(draft):
    from inbound_webhooks.event.rules import compile_rules

    return compile_rules(draft)


def stored(name: str):
    from inbound_webhooks.webhooks import service

    return service.get(name)


def changed(webhook, secrets=(), **fields):
    """A change by a user, whose permission was checked for this webhook."""
    from inbound_webhooks.records.webhook import Draft, field_values
    from inbound_webhooks.webhooks import service
    from inbound_webhooks.webhooks.secrets import NewSecret

    draft = Draft(**field_values(webhook) | fields)
    new = [NewSecret("signing", value) for value in secrets]
    return service.change(
        webhook.id, draft, actor="eve", version=webhook.version, secrets=new, checked=webhook
    )


def test_those_that_sign_are_the_ones_that_use_a_secret():
    assert sorted(name for name, each in HANDSHAKES.items() if each.signs_for is not None) == list(SIGNING)


@pytest.mark.parametrize("handshake", SIGNING)
@pytest.mark.parametrize("preset", OTHERS)
def test_a_handshake_does_not_sign_with_the_secret_of_another_preset(preset, handshake):
    with pytest.raises(InvalidDefinition, match="signs its responses with the signing secret"):
        compiled(definition(preset, handshake))


@pytest.mark.parametrize("handshake", SIGNING)
def test_a_handshake_that_signs_needs_the_verification_of_its_own_sender(handshake):
    with pytest.raises(InvalidDefinition):
        compiled(replace(definition(handshake, handshake), verification=()))


@pytest.mark.parametrize("handshake", SIGNING)
def test_a_second_scheme_does_not_share_the_secret_either(handshake):
    own = definition(handshake, handshake)
    also = {"kind": "hmac", "header": "x-hub-signature-256", "prefix": "sha256="}
    with pytest.raises(InvalidDefinition):
        compiled(replace(own, verification=(*own.verification, also)))
    compiled(replace(own, verification=(*own.verification, also | {"purpose": "other"})))


@pytest.mark.parametrize("handshake", SIGNING)
def test_set_ups_of_the_sender_itself_work_with_changed_tolerances(handshake):
    own = definition(handshake, handshake)
    assert compiled(own).handshake is HANDSHAKES[handshake]
    if handshake == "zoom":
        (scheme,) = own.verification
        compiled(replace(own, verification=({**scheme, "tolerance_seconds": 900},)))


@pytest.mark.parametrize("handshake", SIGNING)
def test_a_stored_secret_is_not_lent_to_a_handshake_that_signs(sqlite_database, handshake):
    store_webhook("imported", preset="github", secrets={"signing": SECRET})
    own = definition(handshake, handshake)
    before = rows("webhook"), audit_rows()
    with pytest.raises(InvalidDefinition, match="enter that secret again"):
        changed(stored("imported"), verification=own.verification, handshake=handshake)
    assert (rows("webhook"), audit_rows()) == before


def test_nor_in_two_steps(sqlite_database):
    store_webhook("imported", preset="github", secrets={"signing": SECRET})
    own = definition("twitter", "twitter")
    changed(stored("imported"), verification=own.verification)
    with pytest.raises(InvalidDefinition, match="enter that secret again"):
        changed(stored("imported"), handshake="twitter")


def test_a_user_with_the_secret_may_turn_the_handshake_on(sqlite_database):
    store_webhook("mine", preset="github", secrets={"signing": SECRET})
    own = definition("twitter", "twitter")
    changed(stored("mine"), secrets=[SECRET], verification=own.verification, handshake="twitter")
    after = changed(stored("mine"), description="no secret is asked for again")
    assert after.handshake == "twitter"
