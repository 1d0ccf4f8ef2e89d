"""Discord webhook events."""

from __future__ import annotations

from inbound_webhooks.presets.preset import BODY_HASH, Preset, Secret

DISCORD_PROOF = {"kind": "ed25519"}

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
        "In the Developer Portal open the app, General Information, and give its public key to this webhook.",
        "Open Webhooks, Endpoint URL: {url}",
        "Discord sends a PING and a forged one; this webhook has to be enabled to answer both.",
        "Switch events on and choose them.",
    ),
    verification=(DISCORD_PROOF,),
    secrets=(DISCORD_SECRET,),
    handshake="discord",
    dedup=BODY_HASH,
    event_type="${Webhook::Body.event.type}",
    filter_example='body.event.type == "APPLICATION_AUTHORIZED"',
    mapping_example={"type": "${Webhook::Body.event.type}", "data": "${Webhook::Body.event.data}"},
    response_status=204,
    disabled_status=503,
    invalid_status=202,
    notes=(
        "Discord sends forged signatures to see them refused, and takes a URL away that accepts one: "
        "rejections of that kind are nothing to worry about.",
        "Discord says nothing of how old a signed time may be, so none is too old; the body's hash as "
        "deduplication key stops repetitions.",
    ),
)
