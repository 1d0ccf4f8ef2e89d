"""Attacks by what a DAG's params are checked against: a pattern, and the number of items."""

from __future__ import annotations

import json

from benchmarks.attacks.stage import Attack, Stage

BODY_BYTES = 2 * 1024 * 1024


class SlowPattern(Attack):
    """27 characters that the pattern of the DAG's param refuses after exponential time."""

    title = "sends 27 characters against the pattern `^(\\w+\\s?)*$`"

    async def prepare(self, stage: Stage) -> None:
        """Make the webhook."""
        self.hook = await stage.webhook("pattern", mapping={"text": "${Webhook::Body.text}"})

    async def run(self, stage: Stage) -> None:
        """Send them on two connections."""
        body = json.dumps({"text": "a" * 26 + "!"}).encode()
        await stage.flood([stage.target(self.hook, body)], connections=2)


class LookingAhead(SlowPattern):
    """The same with a pattern that looks ahead, which a process checks that can be killed."""

    title = "sends 27 characters against the pattern `^(?=a)(\\w+\\s?)*$`"

    async def prepare(self, stage: Stage) -> None:
        """Make the webhook."""
        self.hook = await stage.webhook("looking ahead", mapping={"ahead": "${Webhook::Body.text}"})


class LongArrays(Attack):
    """Arrays of 2 MiB, whose items the param's schema checks one by one."""

    title = "sends arrays of 2 MiB"

    async def prepare(self, stage: Stage) -> None:
        """Make the webhook."""
        self.hook = await stage.webhook("arrays", mapping={"items": "${Webhook::Body.items}"})

    async def run(self, stage: Stage) -> None:
        """Send them on four connections."""
        start, end = b'{"items":[1', b"]}"
        body = start + b",1" * ((BODY_BYTES - len(start) - len(end)) // 2) + end
        await stage.flood([stage.target(self.hook, body)], connections=4)
