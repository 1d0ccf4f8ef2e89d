"""dbt Cloud job webhooks."""

from __future__ import annotations

from inbound_webhooks.presets.preset import Preset, Secret

PRESET = Preset(
    name="dbt-cloud",
    title="dbt Cloud",
    documentation_url="https://docs.getdbt.com/docs/deploy/webhooks",
    steps=(
        "In dbt open Account settings, Webhooks, Create webhook.",
        "Choose the event (run completed is the one with a result) and the jobs.",
        "Endpoint: {url}",
        "Save, copy the secret that shows once, and give it to this webhook.",
    ),
    # The bare signature, without a scheme such as Bearer.
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
    notes=(
        "dbt puts the signature into the header Authorization: a proxy that reads or removes that header "
        "breaks it.",
        "dbt signs no time: who captured a request can send it again, which the event's id, being signed, "
        "stops for as long as deliveries are kept.",
        "dbt tries five times; a test of the endpoint in dbt sends a body that is no run.",
    ),
)
