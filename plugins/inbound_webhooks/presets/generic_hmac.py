"""Any sender that signs the body with a shared secret."""

from __future__ import annotations

from inbound_webhooks.event.sampling.events import SampleEvent
from inbound_webhooks.presets.preset import BODY_HASH, Preset, Secret

PRESET = Preset(
    name="generic-hmac",
    title="Any sender with an HMAC signature",
    documentation_url="https://www.rfc-editor.org/rfc/rfc2104",
    steps=(
        "Give the sender the URL {url} and the secret {secret}",
        "Set header, algorithm, encoding and prefix of the verification as the sender documents them.",
        "If the sender signs more than the body, set signed, for example to {timestamp}.{body}, and "
        "timestamp_from to the header with the time.",
    ),
    verification=(
        {
            "kind": "hmac",
            "header": "X-Signature",
            "algorithm": "sha256",
            "encoding": "hex",
            "prefix": "",
            "signed": "{body}",
        },
    ),
    secrets=(
        Secret(
            purpose="signing",
            label="Secret",
            help="The secret that the sender signs with: 32 random bytes or more.",
            chosen_here=True,
        ),
    ),
    dedup_alternative=BODY_HASH,
    event_type="${Webhook::Body.type}",
    filter_example='body.type == "order.created"',
    mapping_example={"type": "${Webhook::Body.type}", "data": "${Webhook::Body.data}"},
    sample=SampleEvent(
        body={
            "type": "order.created",
            "id": "evt_1001",
            "created_at": "2026-01-31T12:00:00Z",
            "data": {"order_id": 1001, "customer": "Ada Lovelace", "total": 59.9, "currency": "EUR"},
        },
    ),
    notes=(
        "A signature without a time is valid forever, so a captured request can be sent again. Sign a "
        "time, or use the body's hash as deduplication key if no two events are equal.",
        "The algorithm is the one set here, whatever a header says.",
    ),
)
