"""What an attack is done with: webhooks of A made over REST, requests from an address of A's own, SQL."""

from __future__ import annotations

import asyncio
import json
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass, field, replace
from http.client import HTTPConnection, HTTPException
from itertools import cycle
from typing import Any, ClassVar
from urllib.parse import urlsplit

import psycopg2

from benchmarks.client import Connection, Target, opened, post, status_of

ADDRESS = "127.0.0.2"
"""A's; of the whole network 127.0.0.0/8 on Linux, so that limits for each address do not meet B."""

DAG_ID = "bench_isolation"
API = "/webhooks/api/v1"
MAX_REQUESTS = 200_000
"""Requests of one attack: a bound for a server that answers at once."""

REST_SECONDS = 120


class Refused(Exception):
    """The product does not save what the attack needs."""


@dataclass(frozen=True)
class Hook:
    """A webhook of A: its id, and the path that senders call at the attacked endpoint."""

    id: str
    path: str


@dataclass
class Stage:
    """Where an attack takes place, and for how long: until ``over`` is set or ``seconds`` have passed.

    ``endpoint_port`` is that of the attacked endpoint, whose paths begin with ``prefix``. ``waiting`` is the
    number of deliveries of a webhook that is deleted. ``statuses`` counts what A got, 0 for no response.
    """

    endpoint_port: int
    prefix: str
    api_port: int
    bearer: str
    database_url: str
    mail_port: int
    waiting: int
    mails: int
    silent: int
    seconds: float
    statuses: Counter[str] = field(default_factory=Counter)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def webhook(self, name: str, **fields: Any) -> Hook:
        """Create a webhook for the DAG of attacks.

        :raises Refused: a field is refused
        """
        fields = {"dag_id": DAG_ID, "name": f"{name} {time.time_ns()}", **fields}
        made = await self.rest("POST", "/webhooks", fields)
        return Hook(made["id"], self.prefix + urlsplit(made["url"]).path.removeprefix("/pluginsv2"))

    async def rest(self, method: str, path: str, body: Any = None) -> Any:
        """What the API responds; None for no content, or where it fails.

        :raises Refused: the API refuses the content
        """
        status, content = await asyncio.to_thread(self._call, method, API + path, body)
        self.statuses[str(status)] += 1
        if status in (400, 422):
            raise Refused(content.decode(errors="replace")[:300])
        return json.loads(content) if content and status // 100 == 2 else None

    def _call(self, method: str, path: str, body: Any) -> tuple[int, bytes]:
        connection = HTTPConnection(
            "127.0.0.1", self.api_port, timeout=REST_SECONDS, source_address=(ADDRESS, 0)
        )
        headers = {"Authorization": f"Bearer {self.bearer}", "Content-Type": "application/json"}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, HTTPException):
            return 0, b""
        finally:
            connection.close()

    def target(self, hook: Hook, body: bytes, *, query: str = "") -> Target:
        """A POST from A's address."""
        path = f"{hook.path}?{query}" if query else hook.path
        return replace(post(self.endpoint_port, path, body), source=ADDRESS)

    async def flood(
        self, targets: Iterable[Target], *, connections: int, requests: int = MAX_REQUESTS
    ) -> None:
        """Send until it is over, each connection its next request once the last one is answered."""
        turns = cycle(targets)
        async with opened(connections) as channels:
            await self.until_over(*(self._send(it, turns, requests // connections) for it in channels))

    async def _send(self, channel: Connection, turns: Iterator[Target], requests: int) -> None:
        for _ in range(requests):
            # Before Python 3.12 a cancellation is lost where wait_for has its result at the same time.
            if self.over.is_set():
                return
            status = await status_of(channel, next(turns))
            self.statuses[str(status)] += 1
            if status == 0:
                await asyncio.sleep(0.1)

    async def until_over(self, *work: Coroutine[Any, Any, None]) -> None:
        """Run all of these to their end; cancel them when the stage is over."""
        over = asyncio.ensure_future(self.over.wait())
        tasks = asyncio.gather(*work)
        await asyncio.wait({tasks, over}, return_when=asyncio.FIRST_COMPLETED)
        over.cancel()
        if not tasks.done():
            tasks.cancel()
            await asyncio.gather(tasks, return_exceptions=True)
        else:
            tasks.result()

    async def sql(self, statement: str, **values: Any) -> None:
        """Run and commit a statement in a thread."""
        await asyncio.to_thread(self._execute, statement, values)

    def connect(self) -> Any:
        """A connection to Airflow's database."""
        return psycopg2.connect(self.database_url.replace("+psycopg2", ""))

    def _execute(self, statement: str, values: dict[str, Any]) -> None:
        connection = self.connect()
        try:
            connection.autocommit = True
            connection.cursor().execute(statement, values)
        finally:
            connection.close()

    async def forever(self, once: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Await calls of a function one after the other until it is over."""

        async def in_turn() -> None:
            for _ in range(MAX_REQUESTS):
                if self.over.is_set():
                    return
                await once()

        await self.until_over(in_turn())


class Attack(ABC):
    """One kind of attack; ``title`` completes "while A …"."""

    title: ClassVar[str]

    @abstractmethod
    async def prepare(self, stage: Stage) -> None:
        """Make what it needs, before anything is measured.

        :raises Refused: the product does not save it
        """

    @abstractmethod
    async def run(self, stage: Stage) -> None:
        """Attack until the stage is over; it may be cancelled then."""
