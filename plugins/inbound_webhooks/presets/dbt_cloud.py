"""dbt Cloud job webhooks."""

from __future__ import annotations

from inbound_webhooks.event.sampling.events import SampleEvent
from inbound_webhooks.presets.preset import Preset, Secret

PRESET = Preset(
    name="dbt-cloud",
    title="dbt Cloud",
    documentation_url="https://docs.getdbt.com/docs/deploy/webhooks",
    steps=(
        "In dbt open Account settings, Webhooks, Create webhook.",
        "Choose the jobs and the event (run completed is the one with a result).",
        "Endpoint: {url}",
        "Save, copy the secret, which is shown once, and enter it in this webhook.",
    ),
    # The bare signature, without a scheme such as Bearer in front.
    verification=({"kind": "hmac", "header": "Authorization"},),
    secrets=(
        Secret(
            purpose="signing",
            label="Secret key",
            help="dbt shows it once, when the webhook is saved.",
        ),
    ),
    dedup="${Webhook::Body.eventId}",
    event_type="${Webhook::Body.eventType}",
    events=(
        "job.run.started",
        "job.run.completed",
        "job.run.errored",
    ),
    filter_example='body.eventType == "job.run.completed" and body.data.runStatus == "Success"',
    mapping_example={
        "job": "${Webhook::Body.data.jobId}",
        "run": "${Webhook::Body.data.runId}",
        "status": "${Webhook::Body.data.runStatus}",
    },
    response_status=200,
    disabled_status=503,
    invalid_status=202,
    sample=SampleEvent(
        body={
            "accountId": 1,
            "webhookId": "wsu_12345abcde",
            "eventId": "wev_2L6ZDoilyiWzKkSA59Gmc2d7FDD",
            "timestamp": "2026-01-31T12:01:00Z",
            "eventType": "job.run.completed",
            "webhookName": "dbt to Airflow",
            "data": {
                "jobId": "123",
                "jobName": "Daily Job (dbt build)",
                "runId": "12345",
                "environmentId": "1234",
                "environmentName": "Production",
                "dbtVersion": "1.9.0",
                "projectName": "Warehouse",
                "projectId": "167194",
                "runStatus": "Success",
                "runStatusCode": 10,
                "runStatusMessage": "None",
                "runReason": "Kicked off from UI by ada@example.com",
                "runStartedAt": "2026-01-31T12:00:00Z",
                "runFinishedAt": "2026-01-31T12:01:00Z",
            },
        },
    ),
    notes=(
        "dbt sends the signature in the header Authorization: a proxy that consumes or removes this header "
        "breaks the verification.",
        "dbt does not sign a time, so a captured request can be sent again. The event's id is signed and "
        "prevents that for as long as deliveries are kept.",
        "dbt tries five times. Its endpoint test sends a body that is not a run.",
    ),
)
