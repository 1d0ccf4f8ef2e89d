"""Attacks by rows: many that wait, a locked one, one that is looked for again and again, large ones."""

from __future__ import annotations

import asyncio
import json

from benchmarks.attacks.confs import BODY_BYTES
from benchmarks.attacks.stage import Attack, Stage
from benchmarks.payload import event

FILL = """
INSERT INTO inbound_webhook_delivery
    (id, webhook_id, webhook_name, dag_id, state, received_at, source_ip, query_string, headers, body, conf,
     response_status, attempts, next_attempt_at)
SELECT md5(%(webhook)s || n), %(webhook)s, 'attack', 'bench_isolation', %(state)s, now(), '127.0.0.2', '',
       '[["Content-Type", "application/json"]]', convert_to(%(body)s, 'UTF8'), '{}', 202, 0,
       CASE WHEN %(state)s = 'accepted' THEN now() + interval '1 day' END
FROM generate_series(1, %(rows)s) AS n
"""
"""Deliveries of a webhook; accepted ones are due tomorrow, so that they wait."""


class Deletion(Attack):
    """Deletes webhooks with many waiting deliveries, one after the other."""

    title = "deletes webhooks with many waiting deliveries"
    WEBHOOKS = 3

    async def prepare(self, stage: Stage) -> None:
        """Make the webhooks and their deliveries."""
        self.hooks = [await stage.webhook(f"deleted {number}") for number in range(self.WEBHOOKS)]
        for hook in self.hooks:
            await stage.sql(FILL, webhook=hook.id, state="accepted", body="{}", rows=stage.waiting)

    async def run(self, stage: Stage) -> None:
        """Delete them."""

        async def delete_all() -> None:
            for hook in self.hooks:
                await stage.rest("DELETE", f"/webhooks/{hook.id}")

        await stage.until_over(delete_all())


class LockedRow(Attack):
    """Sends to a webhook whose row another transaction holds, as a change that hangs would."""

    title = "sends to a webhook whose row is locked"

    async def prepare(self, stage: Stage) -> None:
        """Make the webhook."""
        self.hook = await stage.webhook("locked")

    async def run(self, stage: Stage) -> None:
        """Lock the row, and send on eight connections."""
        holder = await asyncio.to_thread(stage.connect)
        try:
            query = "SELECT 1 FROM inbound_webhook WHERE id = %s FOR UPDATE"
            await asyncio.to_thread(holder.cursor().execute, query, (self.hook.id,))
            await stage.flood([stage.target(self.hook, event())], connections=8)
        finally:
            holder.close()


class RepeatedEvent(Attack):
    """The same event, by its deduplication key, without a pause."""

    title = "repeats one event (deduplication key) on 16 connections"

    async def prepare(self, stage: Stage) -> None:
        """Make the webhook."""
        self.hook = await stage.webhook("repeated", dedup="${Webhook::Body.order.id}")

    async def run(self, stage: Stage) -> None:
        """Send it."""
        await stage.flood([stage.target(self.hook, event())], connections=16)


class UselessBodies(Attack):
    """Bodies of 2 MiB that start nothing and are stored: filtered and refused ones in turn."""

    title = "sends bodies of 2 MiB that are filtered or refused"

    async def prepare(self, stage: Stage) -> None:
        """Make a webhook of each kind."""
        self.hooks = [
            await stage.webhook("filtered", filter='headers["X-Wanted"] == "yes"'),
            await stage.webhook("refused", mapping={"text": "${Webhook::Body.missing.key}", "items": "1"}),
        ]

    async def run(self, stage: Stage) -> None:
        """Send to both on four connections."""
        body = json.dumps({"note": "x" * (BODY_BYTES - 100)}).encode()
        await stage.flood([stage.target(hook, body) for hook in self.hooks], connections=4)
