"""Real senders' requests, each with a mapping that a person would write for it."""

from __future__ import annotations

import json

import pytest

from inbound_webhooks.event.conf.mapping import dump_conf
from tests.unit.event.builders import PAYLOADS, conf_of, payload, sources_of

GITHUB_PUSH = {
    "event": "${Webhook::Headers.X-GitHub-Event}",
    "repository": "${Webhook::Body.repository.full_name}",
    "branch": '{{ body.ref | replace("refs/heads/", "") }}',
    "sha": "${Webhook::Body.after}",
    "author": '{{ body.head_commit.author.name | default("nobody") }}',
    "commits": "{{ body.commits | length }}",
}
GITLAB = {
    "kind": "${Webhook::Body.object_kind}",
    "project": "${Webhook::Body.project.path_with_namespace}",
    "user": "{{ body.user_username | default(body.user.username) }}",
    "event": "${Webhook::Headers.X-Gitlab-Event}",
}
STRIPE = {
    "type": "${Webhook::Body.type}",
    "object": "${Webhook::Body.data.object.id}",
    "at": "{{ body.created | to_datetime }}",
    "live": "${Webhook::Body.livemode}",
}
DBT = {
    "type": "${Webhook::Body.eventType}",
    "run_id": "${Webhook::Body.data.runId}",
    "status": "${Webhook::Body.data.runStatus} (${Webhook::Body.data.runStatusCode})",
    "finished_at": "${Webhook::Body.data.runFinishedAt}",
}
SLASH_COMMAND = {
    "command": "${Webhook::Body.command}",
    "text": "${Webhook::Body.text}",
    "user": "${Webhook::Body.user_name}",
    "reply_to": "${Webhook::Body.response_url}",
}

EXPECTED = {
    "github/push__new_branch": (
        GITHUB_PUSH,
        {
            "event": "push",
            "repository": "Codertocat/Hello-World",
            "branch": "master",
            "sha": "6113728f27ae82c7b1a177c8d03f9e96e0adf246",
            "author": "Codertocat",
            "commits": 1,
        },
    ),
    "github/push__tag_deleted": (
        GITHUB_PUSH,
        {
            "event": "push",
            "repository": "Codertocat/Hello-World",
            "branch": "refs/tags/simple-tag",
            "sha": "0000000000000000000000000000000000000000",
            "author": "nobody",
            "commits": 0,
        },
    ),
    "github/push__new_branch_form": (
        {
            "repository": "{{ (body.payload | fromjson).repository.full_name }}",
            "sha": "{{ (body.payload | fromjson).after }}",
            "repository_id": "{{ (body.payload | fromjson).repository.id }}",
        },
        {
            "repository": "Codertocat/Hello-World",
            "sha": "6113728f27ae82c7b1a177c8d03f9e96e0adf246",
            "repository_id": 186853002,
        },
    ),
    "github/pull_request__opened": (
        {
            "action": "${Webhook::Body.action}",
            "pull_request": "${Webhook::Body.repository.full_name}#${Webhook::Body.number}",
            "title": "${Webhook::Body.pull_request.title}",
            "from": "${Webhook::Body.pull_request.head.ref}",
            "merged": "${Webhook::Body.pull_request.merged}",
            "labels": "{{ body.pull_request.labels }}",
        },
        {
            "action": "opened",
            "pull_request": "Codertocat/Hello-World#2",
            "title": "Update the README with new information.",
            "from": "changes",
            "merged": False,
            "labels": [],
        },
    ),
    "github/ping__repository_hook": (
        {"zen": "${Webhook::Body.zen}", "events": "${Webhook::Body.hook.events}"},
        {"zen": "Anything added dilutes everything else.", "events": ["*"]},
    ),
    "gitlab/push__two_commits": (
        GITLAB
        | {"first": "${Webhook::Body.commits[0].id}", "commits": "${Webhook::Body.total_commits_count}"},
        {
            "kind": "push",
            "project": "mike/diaspora",
            "user": "jsmith",
            "event": "Push Hook",
            "first": "b6568db1bc1dcd7f8b4d5a946b0b91f9dacd7327",
            "commits": 4,
        },
    ),
    "gitlab/merge_request__open": (
        GITLAB | {"state": "${Webhook::Body.object_attributes.state}"},
        {
            "kind": "merge_request",
            "project": "gitlabhq/gitlab-test",
            "user": "root",
            "event": "Merge Request Hook",
            "state": "opened",
        },
    ),
    "stripe/checkout.session.completed__payment": (
        STRIPE,
        {
            "type": "checkout.session.completed",
            "object": "cs_test_MlZAaTXUMHjWZ7DcXjusJnDU4MxPalbtL5eYrmS2GKxqscDtpJq8QM0k",
            "at": "2019-06-24T23:59:41+00:00",
            "live": False,
        },
    ),
    "stripe/invoice.paid__manual": (
        STRIPE | {"paid": "${Webhook::Body.data.object.amount_paid}"},
        {
            "type": "invoice.paid",
            "object": "in_1MtGmCLkdIwHu7ix6PgS6g8S",
            "at": "2023-04-04T20:48:24+00:00",
            "live": False,
            "paid": 0,
        },
    ),
    "stripe/payment_intent.succeeded__card": (
        STRIPE | {"amount": "${Webhook::Body.data.object.amount} ${Webhook::Body.data.object.currency}"},
        {
            "type": "payment_intent.succeeded",
            "object": "pi_3MtweELkdIwHu7ix0Dt0gF2H",
            "at": "2023-04-06T17:30:58+00:00",
            "live": False,
            "amount": "2000 usd",
        },
    ),
    "stripe/setup_intent.created__acss_debit": (
        STRIPE,
        {
            "type": "setup_intent.created",
            "object": "seti_1NG8Du2eZvKYlo2C9XMqbR0x",
            "at": "2023-06-06T22:19:30+00:00",
            "live": False,
        },
    ),
    "dbt_cloud/job.run.started__running": (
        DBT,
        {"type": "job.run.started", "run_id": "12345", "status": "Running (3)"},
    ),
    "dbt_cloud/job.run.completed__success": (
        DBT,
        {
            "type": "job.run.completed",
            "run_id": "12345",
            "status": "Success (10)",
            "finished_at": "2023-01-31T19:29:32Z",
        },
    ),
    "dbt_cloud/job.run.errored__errored": (
        DBT,
        {"type": "job.run.errored", "run_id": "12345", "status": "Errored (20)"},
    ),
    "twilio/incoming_sms__text": (
        {
            "from": "${Webhook::Body.From}",
            "text": "${Webhook::Body.Body}",
            "media": "{{ body.NumMedia | int }}",
        },
        {"from": "+14017122661", "text": "Ahoy! Let's build something amazing.", "media": 0},
    ),
    "slack/slash_command__weather": (
        SLASH_COMMAND,
        {
            "command": "/weather",
            "text": "94070",
            "user": "Steve",
            "reply_to": "https://hooks.slack.com/commands/1234/5678",
        },
    ),
    "slack/slash_command__empty_text": (
        SLASH_COMMAND,
        {
            "command": "/webhook-collect",
            "text": "",
            "user": "roadrunner",
            "reply_to": "https://hooks.slack.com/commands/T1DC2JH3J/397700885554/96rGlfmibIGlgcZRskXaIFfN",
        },
    ),
    "slack/event_callback__message_file_share": (
        {
            "text": "${Webhook::Body.event.text}",
            "file": "${Webhook::Body.event.files[0].name}",
            "said": "{{ body.event.blocks[0].elements[0].elements | first | default({}) | tojson }}",
        },
        {"text": "Hi there!", "file": "file.png", "said": '{"type":"text","text":"Hi there!"}'},
    ),
    "slack/url_verification__challenge": (
        {"challenge": "${Webhook::Body.challenge}"},
        {"challenge": "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"},
    ),
    "shopify/orders_create__sample": (
        {
            "topic": "${Webhook::Headers.X-Shopify-Topic}",
            "order": "${Webhook::Body.id}",
            "order_text": "order ${Webhook::Body.id}",
            "line": "${Webhook::Body.line_items[0].id}",
            "total": "${Webhook::Body.total_price}",
        },
        {
            "topic": "orders/create",
            "order": 820982911946154508,
            "order_text": "order 820982911946154508",
            "line": 487817672276298554,
            "total": "404.95",
        },
    ),
}


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_real_request_becomes_conf(name):
    mapping, expected = EXPECTED[name]
    conf = conf_of(mapping, sources_of(payload(name)))
    assert conf == expected
    assert json.loads(dump_conf(conf)) == conf


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_real_request_as_a_whole_is_stored_without_its_credentials(name):
    event = sources_of(payload(name))
    whole = json.loads(dump_conf(conf_of({}, event)))["webhook"]
    assert whole["body"] == event.body.value
    shown = " ".join(whole["headers"]).lower()
    assert not any(word in shown for word in ("signature", "authorization", "hmac", "gitlab-token"))


def test_every_payload_is_used_and_has_its_headers():
    bodies = {
        path.relative_to(PAYLOADS).as_posix().removesuffix(".body") for path in PAYLOADS.rglob("*.body")
    }
    headers = {
        path.relative_to(PAYLOADS).as_posix().removesuffix(".headers") for path in PAYLOADS.rglob("*.headers")
    }
    assert bodies == headers == set(EXPECTED)
