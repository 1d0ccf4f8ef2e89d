"""Amazon SNS, and what it passes on: S3 events, CloudWatch alarms, EventBridge rules."""

from __future__ import annotations

from inbound_webhooks.presets.preset import Preset, Secret

PRESET = Preset(
    name="aws-sns",
    title="Amazon SNS (S3, EventBridge, CloudWatch)",
    documentation_url="https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html",
    steps=(
        "Create the subscription: protocol HTTPS, endpoint {url}, raw message delivery off.",
        "Let the dispatcher fetch the signing certificate (--refresh-keys) or give it yourself; each message "
        "names it as SigningCertURL (https://sns.REGION.amazonaws.com/SimpleNotificationService-….pem).",
        "Choose Request confirmation at the subscription; the link to open then stands at this webhook, for "
        "three days.",
        "For S3: the bucket's Properties, Event notifications, destination the topic.",
        "Name the topic in topic_arns of the proof, so that no other one gets in.",
    ),
    verification=({"kind": "sns", "topic_arns": [], "tolerance_seconds": 3600},),
    secrets=(
        Secret(
            purpose="signing",
            label="Signing certificate",
            help="The certificate in PEM behind SigningCertURL. AWS changes it about once a year: give the "
            "new one before the old one ends, or have it fetched.",
        ),
    ),
    handshake="sns",
    # Content-Type is text/plain, so the body is text that holds JSON; the header with the id is not signed.
    dedup="{{ (body | fromjson).MessageId }}",
    event_type="${Webhook::Headers.x-amz-sns-message-type}",
    filter_example='(body | fromjson).TopicArn == "arn:aws:sns:eu-west-1:123456789012:uploads"',
    mapping_example={
        "topic": "{{ (body | fromjson).TopicArn }}",
        "message": "{{ (body | fromjson).Message }}",
    },
    response_status=200,
    disabled_status=503,
    invalid_status=202,
    notes=(
        "Without topic_arns every topic of AWS gets in that knows the URL, whoever owns it: SNS signs for "
        "all.",
        "No request makes this server call out: the link that confirms is yours to open, and certificates "
        "are fetched by the dispatcher alone, where you ask for it, from SNS's own hosts.",
        "SNS does not repeat after a 4xx, so while this webhook is disabled it answers 503; give the "
        "subscription a delivery policy with more than the usual three repetitions, and a dead-letter queue.",
        "Raw message delivery sends no signature and is refused.",
        "The Message of S3 and EventBridge is JSON again: {{ ((body | fromjson).Message | "
        "fromjson).Records }}.",
    ),
)
