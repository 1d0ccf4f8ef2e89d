"""Problems that processes of the endpoint report, for the pages and ``airflow webhooks check``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select, update

from inbound_webhooks.errors import Problem
from inbound_webhooks.storage import tables


@dataclass(frozen=True, kw_only=True)
class EndpointProcess:
    """A process of the endpoint; ``id`` is 32 random hex characters, since a host and pid may be reused."""

    id: str
    host: str
    pid: int


def save_problems(
    connection: Connection, process: EndpointProcess, problems: Sequence[Problem], seen_at: datetime
) -> None:
    """Store the current problems of a process in place of its earlier ones; without any it has no row."""
    columns = tables.endpoint.c
    if not problems:
        connection.execute(delete(tables.endpoint).where(columns.id == process.id))
        return
    written = [
        {"code": problem.code, "message": problem.message, "severity": problem.severity}
        for problem in problems
    ]
    values = {"seen_at": seen_at, "problems": json.dumps(written)}
    done = connection.execute(update(tables.endpoint).where(columns.id == process.id).values(values))
    if done.rowcount == 0:
        row = {"id": process.id, "host": process.host, "pid": process.pid}
        connection.execute(insert(tables.endpoint), row | values)


def reported_problems(connection: Connection, *, since: datetime) -> list[Problem]:
    """Problems that processes have reported since then, each sentence once."""
    columns = tables.endpoint.c
    query = select(columns.problems).where(columns.seen_at >= since).order_by(columns.id)
    found = [Problem(**problem) for text in connection.scalars(query) for problem in json.loads(text)]
    return list(dict.fromkeys(found))


def forget_endpoints_before(connection: Connection, seen_before: datetime) -> int:
    """Remove the reports of processes that ended without removing theirs; return how many."""
    return connection.execute(delete(tables.endpoint).where(tables.endpoint.c.seen_at < seen_before)).rowcount
