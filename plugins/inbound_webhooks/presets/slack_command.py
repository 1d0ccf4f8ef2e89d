"""Slack slash commands."""

from __future__ import annotations

from inbound_webhooks.event.sampling.events import SampleEvent
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
    sample=SampleEvent(
        body={
            "token": "gIkuvaNzQIHg97ATvDxqgjtO",
            "team_id": "T0001",
            "team_domain": "example",
            "channel_id": "C2147483705",
            "channel_name": "deployments",
            "user_id": "U2147483697",
            "user_name": "ada",
            "command": "/build",
            "text": "orders main",
            "api_app_id": "A123456",
            "response_url": "https://hooks.slack.com/commands/1234/5678",
            "trigger_id": "13345224609.738474920.8088930838d88f008e0",
        },
        content_type="application/x-www-form-urlencoded",
    ),
    notes=(
        "Everyone who may use the command in the workspace can start the DAG; restrict it with a filter on "
        "user_id.",
        "Slack shows an error to the user if the response takes longer than 3 seconds or is not 2xx.",
        "Only the user of the command sees the response; response_url accepts a later one.",
    ),
)
