"""Slack slash commands."""

from __future__ import annotations

from inbound_webhooks.presets.preset import Preset
from inbound_webhooks.presets.slack import SLACK_PROOF, SLACK_SECRET

PRESET = Preset(
    name="slack-command",
    title="Slack slash command",
    documentation_url="https://docs.slack.dev/interactivity/implementing-slash-commands",
    steps=(
        "At api.slack.com/apps open the app, Basic Information, and give its signing secret to this webhook.",
        "Open Slash Commands, Create New Command.",
        "Request URL: {url}",
        "Save, and reinstall the app.",
    ),
    verification=(SLACK_PROOF,),
    secrets=(SLACK_SECRET,),
    dedup="${Webhook::Body.trigger_id}",
    event_type="${Webhook::Body.command}",
    filter_example='body.command == "/build" and body.team_id == "T0001"',
    mapping_example={
        "command": "${Webhook::Body.command}",
        "text": "${Webhook::Body.text}",
        "user": "${Webhook::Body.user_name}",
    },
    response_status=200,
    response_template='{"response_type": "ephemeral", "text": "Started: ${Webhook::Body.command} '
    '${Webhook::Body.text}"}',
    notes=(
        "Whoever may use the command in the workspace may start the DAG; a filter on user_id narrows it.",
        "Slack shows an error to the user where the answer is none within 3 seconds, or not 2xx.",
        "The answer shows only to who typed the command; response_url takes a later one.",
    ),
)
