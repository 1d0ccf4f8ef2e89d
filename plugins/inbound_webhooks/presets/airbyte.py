"""Airbyte notifications."""

from __future__ import annotations

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
    notes=(
        "Airbyte neither signs requests nor sends a key: anyone who knows the URL can send notifications. "
        "Keep the URL secret, and restrict the source addresses.",
        "Airbyte does not retry a failed notification.",
    ),
)
