"""Discord interactions: commands, buttons, forms."""

from __future__ import annotations

from inbound_webhooks.presets.discord import DISCORD_PROOF, DISCORD_SECRET
from inbound_webhooks.presets.preset import Preset

PRESET = Preset(
    name="discord-interactions",
    title="Discord interactions",
    documentation_url="https://docs.discord.com/developers/interactions/overview",
    steps=(
        "In the Developer Portal open the app, General Information, and give its public key to this webhook.",
        "Interactions Endpoint URL: {url}",
        "Discord sends a PING and a forged one; this webhook has to be enabled to answer both.",
    ),
    verification=(DISCORD_PROOF,),
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
    # A message (type 4) that only shows to who gave the command (flag 64).
    response_template='{"type": 4, "data": {"content": "Started: ${Webhook::Body.data.name}", "flags": 64}}',
    disabled_status=503,
    invalid_status=202,
    notes=(
        "Whoever may use the command may start the DAG; a filter on member.user.id narrows it.",
        "Discord shows an error to the user where no answer comes within 3 seconds.",
        "Discord sends forged signatures to see them refused, and takes a URL away that accepts one.",
    ),
)
