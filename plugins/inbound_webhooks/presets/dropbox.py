"""Dropbox app webhooks."""

from __future__ import annotations

from inbound_webhooks.presets.preset import Preset, Secret

PRESET = Preset(
    name="dropbox",
    title="Dropbox",
    documentation_url="https://www.dropbox.com/developers/reference/webhooks",
    steps=(
        "In the App Console open the app, Settings, and give its app secret to this webhook.",
        "Webhooks, Webhook URIs: {url}",
        "Dropbox sends a challenge at once; this webhook has to be enabled to answer it.",
    ),
    verification=({"kind": "hmac", "header": "X-Dropbox-Signature"},),
    secrets=(Secret(purpose="signing", label="App secret", help="The app's Settings, App secret."),),
    handshake="dropbox",
    event_type="{{ 'list_folder' if body.list_folder is defined else '' }}",
    filter_example='"dbid:AAH4f99T0taONIb-OurWxbNQ6ywGRopQngc" in body.list_folder.accounts',
    mapping_example={"accounts": "${Webhook::Body.list_folder.accounts}"},
    response_status=200,
    disabled_status=503,
    invalid_status=202,
    notes=(
        "Dropbox says whose files have changed, not which: the DAG asks /files/list_folder/continue.",
        "Every notification for an account looks the same, so there is no deduplication key: a repetition is "
        "another run, and who captured a request can send it again.",
        "Dropbox takes a URL away whose answers fail too often.",
    ),
)
