"""Discord interactions: commands, buttons, forms."""

from __future__ import annotations

from inbound_webhooks.event.sampling.events import SampleEvent
from inbound_webhooks.presets.discord import DISCORD_SCHEME, DISCORD_SECRET
from inbound_webhooks.presets.preset import Preset

PRESET = Preset(
    name="discord-interactions",
    title="Discord interactions",
    documentation_url="https://docs.discord.com/developers/interactions/overview",
    steps=(
        "In the Developer Portal open the app, General Information, and enter its public key in this "
        "webhook.",
        "Enable this webhook: Discord sends a PING and a forged PING, and expects a response to both.",
        "Interactions Endpoint URL: {url}",
    ),
    verification=(DISCORD_SCHEME,),
    secrets=(DISCORD_SECRET,),
    handshake="discord",
    dedup="${Webhook::Body.id}",
    event_type="${Webhook::Body.data.name}",
    filter_example='body.type == 2 and body.data.name == "build"',
    mapping_example={
        "command": "${Webhook::Body.data.name}",
        "options": "${Webhook::Body.data.options}",
        "guild": "${Webhook::Body.guild_id}",
    },
    response_status=200,
    # A message (type 4) that only the user of the command sees (flag 64).
    response_template='{"type": 4, "data": {"content": "Started: ${Webhook::Body.data.name}", "flags": 64}}',
    disabled_status=503,
    invalid_status=202,
    sample=SampleEvent(
        body={
            "id": "787053080478613556",
            "application_id": "775799577604522054",
            "type": 2,
            "version": 1,
            "token": "A_UNIQUE_TOKEN",
            "guild_id": "290926798626357999",
            "channel_id": "645027906669510667",
            "member": {
                "user": {"id": "53908232506183680", "username": "ada", "discriminator": "0", "avatar": None},
                "roles": ["539082325061836999"],
                "permissions": "2147483647",
                "joined_at": "2026-01-31T12:00:00.000000+00:00",
            },
            "data": {
                "id": "771825006014889984",
                "name": "build",
                "type": 1,
                "options": [{"name": "branch", "type": 3, "value": "main"}],
            },
        },
    ),
    notes=(
        "Everyone who may use the command can start the DAG; restrict it with a filter on member.user.id.",
        "Discord shows an error to the user if the response takes longer than 3 seconds.",
        "Discord sends forged signatures to check that they are rejected, and removes a URL that accepts "
        "one.",
    ),
)
