"""A bare Starlette route that only inserts, with shared commits: what the gateway is measured against.

It checks nothing, maps nothing and stores the body alone; those that come together are one statement.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import asyncpg
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from inbound_webhooks.deliveries.store.batcher import Batcher

URL_VARIABLE = "BENCHMARK_DATABASE_URL"
TABLE = "CREATE TABLE IF NOT EXISTS bare (id varchar(32) PRIMARY KEY, body bytea NOT NULL)"
INSERT = "INSERT INTO bare SELECT * FROM unnest($1::text[], $2::bytea[])"


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    connection = await asyncpg.connect(os.environ[URL_VARIABLE])
    await connection.execute(TABLE)

    async def insert(rows: Sequence[tuple[str, bytes]]) -> Sequence[None]:
        ids, bodies = zip(*rows, strict=True)
        await connection.execute(INSERT, list(ids), list(bodies))
        return [None] * len(rows)

    app.state.insert = Batcher(insert, most=64, batches=1)
    yield
    await connection.close()


async def take(request: Request) -> JSONResponse:
    """Store a body."""
    row = (uuid.uuid4().hex, await request.body())
    await request.app.state.insert(row)
    return JSONResponse({"status": "accepted", "delivery_id": row[0]}, 202)


app = Starlette(routes=[Route("/webhook", take, methods=["POST"])], lifespan=_lifespan)
