"""Tokens and credentials at rest: Airflow's Fernet, never its silent fallback to plain text."""

from __future__ import annotations

from functools import lru_cache

from airflow.models.crypto import get_fernet
from cryptography.fernet import InvalidToken

from inbound_webhooks.errors import FernetKeyMissing, TokenUnreadable


def encrypt(plain_text: str) -> str:
    """Encrypt with [core] fernet_key.

    :raises FernetKeyMissing: the key is empty
    """
    fernet = get_fernet()
    if not fernet.is_encrypted:
        raise FernetKeyMissing
    return fernet.encrypt(plain_text.encode()).decode("ascii")


# Cached by the encrypted text, which a rotation of the token replaces.
@lru_cache(maxsize=4096)
def decrypt(encrypted: str) -> str:
    """Decrypt what :func:`encrypt` returned; cached, because each request needs it.

    :raises TokenUnreadable: the key is empty, or not the one that it was encrypted with
    """
    fernet = get_fernet()
    if not fernet.is_encrypted:
        raise TokenUnreadable
    try:
        return fernet.decrypt(encrypted.encode("ascii")).decode()
    except InvalidToken:
        raise TokenUnreadable from None


def reencrypt(encrypted: str) -> str:
    """Encrypt again with the first key in [core] fernet_key.

    :raises FernetKeyMissing: the key is empty
    :raises TokenUnreadable: none of the keys decrypts it
    """
    fernet = get_fernet()
    if not fernet.is_encrypted:
        raise FernetKeyMissing
    try:
        # The first key of several encrypts; rotate() decrypts with any of them.
        return fernet.rotate(encrypted.encode("ascii")).decode("ascii")
    except InvalidToken:
        raise TokenUnreadable from None
