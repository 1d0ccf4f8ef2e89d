"""Slack slash commands."""

from __future__ import annotations

from inbound_webhooks.presets.preset import Preset
from inbound_webhooks.presets.slack import SLACK_SCHEME, SLACK_SECRET

PRESET = Preset(
    name="slack-command",
    title="Slack slash command",
    documentation_url="https://docs.slack.dev/interactivity/implementing-slash-commands",
    steps=(
        "At api.slack.com/apps open the app, Basic Information, and enter its signing secret in this "
        "webhook.",
        "Open Slash Commands, Create New Command.",
        "Request URL: {url}",
        "Save, and reinstall the app.",
    ),
    verification=(SLACK_SCHEME,),
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
        "Everyone who may use the command in the workspace can start the DAG; restrict it with a filter on "
        "user_id.",
        "Slack shows an error to the user if the response takes longer than 3 seconds or is not 2xx.",
        "Only the user of the command sees the response; response_url accepts a later one.",
    ),
)
