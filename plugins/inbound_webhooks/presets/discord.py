"""Discord webhook events."""

from __future__ import annotations

from inbound_webhooks.event.sampling.events import SampleEvent
from inbound_webhooks.presets.preset import BODY_HASH, Preset, Secret

DISCORD_SCHEME = {"kind": "ed25519"}

DISCORD_SECRET = Secret(
    purpose="signing",
    label="Public key",
    help="In the Developer Portal: the app's General Information, Public Key.",
)

PRESET = Preset(
    name="discord",
    title="Discord webhook events",
    documentation_url="https://docs.discord.com/developers/events/webhook-events",
    steps=(
        "In the Developer Portal open the app, General Information, and enter its public key in this "
        "webhook.",
        "Enable this webhook: Discord sends a PING and a forged PING, and expects a response to both.",
        "Open Webhooks, Endpoint URL: {url}",
        "Switch on events and choose them.",
    ),
    verification=(DISCORD_SCHEME,),
    secrets=(DISCORD_SECRET,),
    handshake="discord",
    dedup=BODY_HASH,
    event_type="${Webhook::Body.event.type}",
    filter_example='body.event.type == "APPLICATION_AUTHORIZED"',
    mapping_example={"type": "${Webhook::Body.event.type}", "data": "${Webhook::Body.event.data}"},
    response_status=204,
    disabled_status=503,
    invalid_status=202,
    sample=SampleEvent(
        body={
            "version": 1,
            "application_id": "1234560123453231555",
            "type": 1,
            "event": {
                "type": "APPLICATION_AUTHORIZED",
                "timestamp": "2026-01-31T12:00:00.000000",
                "data": {
                    "integration_type": 1,
                    "scopes": ["applications.commands"],
                    "user": {
                        "id": "157370770483691520",
                        "username": "ada",
                        "avatar": None,
                        "discriminator": "0",
                        "global_name": "Ada",
                    },
                },
            },
        },
    ),
    notes=(
        "Discord sends forged signatures to check that they are rejected, and removes a URL that accepts "
        "one. Such rejections are normal.",
        "Discord does not say how old a signed time may be, so its age is not limited. The body's hash as "
        "deduplication key prevents repetitions.",
    ),
)
