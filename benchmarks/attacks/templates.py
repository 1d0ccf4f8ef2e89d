"""Attacks by templates: work that a request makes them do, and compiling them."""

from __future__ import annotations

import json
from itertools import count

from benchmarks.attacks.confs import BODY_BYTES
from benchmarks.attacks.stage import Attack, Stage
from benchmarks.payload import event

QUERY_BYTES = 56 * 1024


class QueryLength(Attack):
    """60 lines that each walk through a query of 56 KB."""

    title = "evaluates `query | length` in 60 lines over 56 KB"

    async def prepare(self, stage: Stage) -> None:
        """Make the webhook."""
        self.hook = await stage.webhook(
            "query", response_template="{{ query | length }}\n" * 60, response_content_type="text/plain"
        )

    async def run(self, stage: Stage) -> None:
        """Send it on two connections."""
        pairs = (f"{number:x}=" for number in count())
        query = next(pairs)
        while len(query) < QUERY_BYTES:
            query += "&" + next(pairs)
        await stage.flood([stage.target(self.hook, b"{}", query=query)], connections=2)


class ToJson(Attack):
    """A list of 200 times the same 2 MiB, as JSON."""

    title = "evaluates `[body.x, … 200 times] | tojson` over 2 MiB"

    async def prepare(self, stage: Stage) -> None:
        """Make the webhook."""
        template = "{{ [" + ", ".join(["body.x"] * 200) + "] | tojson }}"
        self.hook = await stage.webhook(
            "tojson", response_template=template, response_content_type="text/plain"
        )

    async def run(self, stage: Stage) -> None:
        """Send it on two connections."""
        body = json.dumps({"x": "a" * (BODY_BYTES - 100)}).encode()
        await stage.flood([stage.target(self.hook, body)], connections=2)


LINES = 4
"""Lines of 300 terms: five would have more than max_expression_parts."""


class Recompilation(Attack):
    """As many long lines as are saved, changed before each request, so that each request compiles them."""

    title = "changes a mapping as large as is saved before each request"

    async def prepare(self, stage: Stage) -> None:
        """Make the webhook."""
        self.turns = count()
        self.hook = await stage.webhook("recompiled", mapping=self._mapping())

    async def run(self, stage: Stage) -> None:
        """Change it and send, one after the other."""

        async def change_and_send() -> None:
            await stage.rest("PATCH", f"/webhooks/{self.hook.id}", {"mapping": self._mapping()})
            await stage.flood([stage.target(self.hook, event())], connections=1, requests=1)

        await stage.forever(change_and_send)

    def _mapping(self) -> dict[str, str]:
        turn = next(self.turns)
        terms = ", ".join(["body.order.id"] * 300)
        return {f"p{number}": f"{{{{ [{turn}, {terms}] | length }}}}" for number in range(LINES)}
