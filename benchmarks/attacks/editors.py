"""Attacks by people who may edit a webhook: its mails, and back-tests of a change."""

from __future__ import annotations

import asyncio

from benchmarks.attacks.stage import Attack, Stage
from benchmarks.attacks.storage import FILL
from benchmarks.payload import event
from tests.infrastructure.mail_server import MailServer

DELIVERIES = 1000

MAILS = """
INSERT INTO inbound_webhook_mail
    (id, webhook_id, webhook_name, kind, recipient, state, created_at, due_at, attempts, next_attempt_at)
SELECT md5('mail' || id), webhook_id, webhook_name, 'success', 'a@example.com', 'waiting', now(), now(), 0,
       now()
FROM inbound_webhook_delivery WHERE webhook_id = %(webhook)s
"""
LISTED = """
INSERT INTO inbound_webhook_mail_delivery (mail_id, position, delivery_id, outcome)
SELECT md5('mail' || id), 0, id, json_build_object(
    'delivery_id', id, 'webhook_id', webhook_id, 'webhook_name', webhook_name, 'dag_id', dag_id,
    'run_id', 'webhook__' || id, 'state', state, 'received_at', received_at, 'started_at', received_at,
    'finished_at', received_at, 'failed_tasks', json_build_array(), 'error', NULL)
FROM inbound_webhook_delivery WHERE webhook_id = %(webhook)s
"""


class SuccessMails(Attack):
    """2,000 mails about runs that succeeded, all due at once, to a mail server that takes them."""

    title = "has 2,000 mails about successes to send"

    async def prepare(self, stage: Stage) -> None:
        """Make the webhook, and the deliveries that the mails are about."""
        self.hook = await stage.webhook("mails", notify_success=["a@example.com"])
        await stage.sql(FILL, webhook=self.hook.id, state="succeeded", body="{}", rows=stage.mails)

    async def run(self, stage: Stage) -> None:
        """Let them be due, and take them."""
        server = MailServer(port=stage.mail_port)
        await asyncio.to_thread(server.start)
        try:
            await stage.sql(MAILS + ";" + LISTED, webhook=self.hook.id)
            await stage.over.wait()
        finally:
            stage.statuses["mails"] += server.attempts
            await asyncio.to_thread(server.stop)


class BackTests(Attack):
    """Eight back-tests at a time, each of the newest 1,000 deliveries."""

    title = "runs back-tests of 1,000 deliveries over REST, eight at a time"

    async def prepare(self, stage: Stage) -> None:
        """Make the webhook and its past deliveries."""
        self.hook = await stage.webhook("tested")
        body = event().decode()
        await stage.sql(FILL, webhook=self.hook.id, state="succeeded", body=body, rows=DELIVERIES)

    async def run(self, stage: Stage) -> None:
        """Run them."""
        change = {"last": DELIVERIES, "draft": {"filter": "body.order.id == 1"}}

        async def once() -> None:
            await stage.rest("POST", f"/webhooks/{self.hook.id}/backTest", change)

        await asyncio.gather(*(stage.forever(once) for _ in range(8)))
