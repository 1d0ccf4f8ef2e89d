"""Amazon SNS and what it forwards: S3 events, CloudWatch alarms, EventBridge rules."""

from __future__ import annotations

from inbound_webhooks.event.sampling.events import SampleEvent
from inbound_webhooks.presets.preset import Preset, Secret

PRESET = Preset(
    name="aws-sns",
    title="Amazon SNS (S3, EventBridge, CloudWatch)",
    documentation_url="https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html",
    steps=(
        "Create the subscription: protocol HTTPS, endpoint {url}, raw message delivery off.",
        "Let the dispatcher fetch the signing certificate (--refresh-keys), or enter it yourself: each "
        "message contains its URL as SigningCertURL "
        "(https://sns.REGION.amazonaws.com/SimpleNotificationService-….pem).",
        "Choose Request confirmation for the subscription. This webhook then shows the link to open for "
        "three days.",
        "For S3: in the bucket's Properties, Event notifications, choose the topic as destination.",
        "Enter the topic's ARN in topic_arns of the verification, so that other topics are rejected.",
    ),
    verification=({"kind": "sns", "topic_arns": [], "tolerance_seconds": 3600},),
    secrets=(
        Secret(
            purpose="signing",
            label="Signing certificate",
            help="The certificate in PEM at SigningCertURL. AWS replaces it about once a year: enter the "
            "new one before the old one expires, or have it fetched.",
        ),
    ),
    handshake="sns",
    # Content-Type is text/plain, so the body is text that contains JSON; the header with the id is unsigned.
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
    sample=SampleEvent(
        body={
            "Type": "Notification",
            "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
            "TopicArn": "arn:aws:sns:eu-west-1:123456789012:uploads",
            "Subject": "Amazon S3 Notification",
            "Message": '{"Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": '
            '{"bucket": {"name": "uploads"}, "object": {"key": "reports/2026-01.csv", "size": 1024}}}]}',
            "Timestamp": "2026-01-31T12:00:00.000Z",
            "SignatureVersion": "1",
            "SigningCertURL": "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-f3ecfb7224c7233fe7bb5f59f96de52f.pem",
            "UnsubscribeURL": "https://sns.eu-west-1.amazonaws.com/?Action=Unsubscribe&SubscriptionArn=arn:aws:sns:eu-west-1:123456789012:uploads:c9135db0-26c4-47ec-8998-413945fb5a96",
        },
        headers={
            "x-amz-sns-message-type": "Notification",
            "x-amz-sns-topic-arn": "arn:aws:sns:eu-west-1:123456789012:uploads",
        },
        content_type="text/plain; charset=UTF-8",
    ),
    notes=(
        "Without topic_arns, any AWS account's topic that knows the URL is accepted: SNS signs for all of "
        "them.",
        "No request makes this server call out. You open the link that confirms the subscription, and "
        "certificates are fetched by the dispatcher, only if you ask for it, and only from SNS's own hosts.",
        "SNS does not retry after a 4xx, so a disabled webhook responds with 503. Give the subscription a "
        "delivery policy with more than the default three retries, and a dead-letter queue.",
        "Raw message delivery sends no signature and is rejected.",
        "For S3 and EventBridge, Message is JSON inside the JSON: {{ ((body | fromjson).Message | "
        "fromjson).Records }}.",
    ),
)
