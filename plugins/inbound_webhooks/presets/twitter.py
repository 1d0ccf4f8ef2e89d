"""X (Twitter) account activity webhooks."""

from __future__ import annotations

from inbound_webhooks.event.sampling.events import SampleEvent
from inbound_webhooks.presets.preset import BODY_HASH, Preset, Secret

PRESET = Preset(
    name="twitter",
    title="X (Twitter)",
    documentation_url="https://docs.x.com/x-api/webhooks/introduction",
    steps=(
        "At developer.x.com open the app, Keys and tokens, and enter its consumer secret in this webhook.",
        "Enable this webhook: X sends a crc_token immediately, and again later.",
        "POST to https://api.x.com/2/webhooks with url: {url}",
        "Add the subscriptions.",
    ),
    verification=(
        {
            "kind": "hmac",
            "header": "x-twitter-webhooks-signature",
            "prefix": "sha256=",
            "encoding": "base64",
        },
    ),
    secrets=(
        Secret(
            purpose="signing", label="Consumer secret", help="The app's API key secret (consumer secret)."
        ),
    ),
    handshake="twitter",
    dedup=BODY_HASH,
    event_type="{{ 'tweet_create_events' if body.tweet_create_events is defined else '' }}",
    filter_example="body.tweet_create_events is defined",
    mapping_example={
        "account": "${Webhook::Body.for_user_id}",
        "posts": "${Webhook::Body.tweet_create_events}",
    },
    response_status=200,
    disabled_status=503,
    invalid_status=202,
    sample=SampleEvent(
        body={
            "for_user_id": "2244994945",
            "tweet_create_events": [
                {
                    "created_at": "Sat Jan 31 12:00:00 +0000 2026",
                    "id": 1880000000000000000,
                    "id_str": "1880000000000000000",
                    "text": "Hello @example",
                    "lang": "en",
                    "user": {
                        "id": 14230524,
                        "id_str": "14230524",
                        "name": "Ada Lovelace",
                        "screen_name": "ada",
                    },
                    "entities": {
                        "hashtags": [],
                        "user_mentions": [{"screen_name": "example", "id_str": "2244994945"}],
                    },
                }
            ],
        },
    ),
    notes=(
        "The response to crc_token is signed with the secret that signs events, and anyone who knows the URL "
        "can request it. Only short tokens are signed, so that no forged event can be signed that way.",
        "X does not sign a time, so a captured request can be sent again. The body's hash as deduplication"
        " key prevents that for as long as deliveries are kept.",
    ),
)
