"""Encrypts again what is stored, after a rotation of Airflow's Fernet key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from inbound_webhooks.monitoring.clock import utc_now
from inbound_webhooks.storage.audit_log import write_audit_entry
from inbound_webhooks.storage.credentials import ENCRYPTED_COLUMNS, encrypted_values, replace_encrypted
from inbound_webhooks.storage.database import begin_writing, transaction
from inbound_webhooks.storage.encryption import reencrypt

MAX_REENCRYPTED = 500
"""Values that one transaction encrypts again."""


def reencrypt_all(*, actor: str) -> dict[str, int]:
    """Encrypt every stored token, secret and credential with the newest Fernet key; return the counts.

    All values are tried first and written afterwards, in small transactions. What an interruption leaves
    is readable with the same keys as before.

    :raises TokenUnreadable: one of them cannot be decrypted with any key; nothing is changed
    """
    for name in ENCRYPTED_COLUMNS:
        for page in _encrypted_pages(name):
            for _, encrypted in page:
                reencrypt(encrypted)
    counts = {name: _reencrypt_table(name) for name in ENCRYPTED_COLUMNS}
    with transaction() as connection:
        write_audit_entry(
            connection, event="webhook.rotate_fernet", dag_id=None, actor=actor, at=utc_now(), details=counts
        )
    return counts


def _reencrypt_table(name: str) -> int:
    count = 0
    for page in _encrypted_pages(name):
        # Encrypted before the transaction: on SQLite it holds the only write lock.
        values = [(row_id, encrypted, reencrypt(encrypted)) for row_id, encrypted in page]
        with transaction() as connection:
            begin_writing(connection)
            replace_encrypted(connection, name, values)
        count += len(page)
    return count


def _encrypted_pages(name: str) -> Iterator[list[tuple[Any, str]]]:
    after = None
    while True:
        with transaction() as connection:
            page = encrypted_values(connection, name, after=after, limit=MAX_REENCRYPTED)
        if not page:
            return
        yield page
        after = page[-1][0]
