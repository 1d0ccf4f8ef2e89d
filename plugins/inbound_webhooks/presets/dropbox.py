"""Dropbox app webhooks."""

from __future__ import annotations

from inbound_webhooks.event.sampling.events import SampleEvent
from inbound_webhooks.presets.preset import Preset, Secret

PRESET = Preset(
    name="dropbox",
    title="Dropbox",
    documentation_url="https://www.dropbox.com/developers/reference/webhooks",
    steps=(
        "In the App Console open the app, Settings, and enter its app secret in this webhook.",
        "Enable this webhook: Dropbox sends a challenge immediately.",
        "Webhooks, Webhook URIs: {url}",
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
    sample=SampleEvent(
        body={
            "list_folder": {"accounts": ["dbid:AAH4f99T0taONIb-OurWxbNQ6ywGRopQngc"]},
            "delta": {"users": [12345678]},
        },
    ),
    notes=(
        "Dropbox says whose files have changed, not which ones: the DAG has to call "
        "/files/list_folder/continue.",
        "All notifications for an account are equal, so there is no deduplication key: a repetition starts "
        "another run, and a captured request can be sent again.",
        "Dropbox removes a URL that fails too often.",
    ),
)
