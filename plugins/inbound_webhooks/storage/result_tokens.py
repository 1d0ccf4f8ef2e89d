"""Statements on the tokens of result URLs, of which hashes are stored; each on the caller's connection."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

from sqlalchemy import Connection, func, insert, literal, select

from inbound_webhooks.storage import tables

MAX_TOKENS = 10
"""Result URLs of one delivery, however often its event is repeated."""

_NO_HASH = hashlib.sha256(b"").hexdigest()


def token_hash(token: str) -> str:
    """What is stored of a token; a plain hash, because a token is random and as long as the hash."""
    return hashlib.sha256(token.encode()).hexdigest()


def insert_token(connection: Connection, delivery_id: str, token: str) -> bool:
    """Store a token of a delivery's result; False, and nothing written, where it has MAX_TOKENS already."""
    table = tables.result_token
    held = select(func.count()).where(table.c.delivery_id == delivery_id).scalar_subquery()
    row = select(literal(delivery_id), literal(token_hash(token))).where(held < MAX_TOKENS)
    return connection.execute(insert(table).from_select(["delivery_id", "token_hash"], row)).rowcount == 1


def hashes_of(connection: Connection, delivery_id: str) -> list[str]:
    """The hashes of a delivery's tokens."""
    table = tables.result_token
    query = select(table.c.token_hash).where(table.c.delivery_id == delivery_id).limit(MAX_TOKENS)
    return list(connection.scalars(query))


def is_among(token: str, hashes: Sequence[str]) -> bool:
    """Compare a token with all hashes, and with made-up ones: an unknown delivery takes as long as any."""
    given, found = token_hash(token), False
    for held in (*hashes, *[_NO_HASH] * (MAX_TOKENS - len(hashes))):
        found |= hmac.compare_digest(given, held)
    return found
