"""Airbyte notifications."""

from __future__ import annotations

from inbound_webhooks.event.sampling.events import SampleEvent
from inbound_webhooks.presets.preset import Preset

PRESET = Preset(
    name="airbyte",
    title="Airbyte",
    documentation_url="https://docs.airbyte.com/cloud/managing-airbyte-cloud/manage-airbyte-cloud-notifications",
    steps=(
        "In Airbyte open Workspace settings, Notifications.",
        "Switch on the webhook for the events that matter, such as Successful syncs.",
        "Webhook URL: {url}",
        "Test it, then save.",
    ),
    signs_body=False,
    # A job reports its end once. Notifications without a job (a changed schema) have no key.
    dedup="{{ body.data.jobId ~ '-' ~ body.data.success if body.data.jobId is defined else '' }}",
    event_type="{{ '' if body.data.success is undefined"
    " else 'success' if body.data.success else 'failure' }}",
    filter_example='body.data.success and body.data.connection.name == "orders to warehouse"',
    mapping_example={
        "connection": "${Webhook::Body.data.connection.id}",
        "job": "${Webhook::Body.data.jobId}",
        "success": "${Webhook::Body.data.success}",
    },
    disabled_status=503,
    invalid_status=202,
    sample=SampleEvent(
        body={
            "data": {
                "workspace": {
                    "id": "b510e39b-e9e2-4833-9a3a-963e51d35fb4",
                    "name": "Analytics",
                    "url": "https://cloud.airbyte.com/workspaces/b510e39b-e9e2-4833-9a3a-963e51d35fb4",
                },
                "connection": {
                    "id": "64d901a1-2520-4d91-93c8-9df438668ff0",
                    "name": "orders to warehouse",
                    "url": "https://cloud.airbyte.com/workspaces/b510e39b-e9e2-4833-9a3a-963e51d35fb4/connections/64d901a1-2520-4d91-93c8-9df438668ff0",
                },
                "source": {"id": "c0655b08-1511-4e72-b7da-24c5d54de532", "name": "Postgres"},
                "destination": {"id": "5621c38f-8048-4abb-85ca-b34ff8d9a298", "name": "Snowflake"},
                "jobId": 9988,
                "startedAt": "2026-01-31T12:00:00Z",
                "finishedAt": "2026-01-31T12:01:30Z",
                "bytesEmitted": 1000,
                "bytesCommitted": 1000,
                "recordsEmitted": 89,
                "recordsCommitted": 89,
                "durationInSeconds": 90,
                "success": True,
            }
        },
    ),
    notes=(
        "Airbyte neither signs requests nor sends a key: anyone who knows the URL can send notifications. "
        "Keep the URL secret, and restrict the source addresses.",
        "Airbyte does not retry a failed notification.",
    ),
)
