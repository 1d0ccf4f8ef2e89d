"""Tokens and credentials at rest: Airflow's Fernet, never its silent fallback to plain text."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from airflow.exceptions import AirflowException
from airflow.models.crypto import get_fernet
from cryptography.fernet import InvalidToken

from inbound_webhooks.errors import (
    ConfigurationError,
    FernetKeyMalformed,
    FernetKeyMissing,
    Problem,
    TokenUnreadable,
)
from inbound_webhooks.monitoring.environment import ENVIRONMENT

_KEY_IS_ANOTHER = Problem(
    "[core] fernet_key is not the one that the webhooks' tokens were encrypted with. Set the same key in "
    "every process of Airflow.",
    code="fernet-key-other",
)


def check_key() -> None:
    """Check [core] fernet_key; an empty one is only reported, because a dispatcher works without it.

    :raises FernetKeyMalformed: it is not a key, or one of several is not
    """
    try:
        _fernet()
    except FernetKeyMissing as error:
        ENVIRONMENT.report(Problem(error.message, code="fernet-key-missing"))


def check_token(encrypted: str | None) -> None:
    """Report where [core] fernet_key is not the one that a stored token was encrypted with."""
    try:
        if encrypted is not None:
            _fernet().decrypt(encrypted.encode("ascii"))
    except InvalidToken:
        ENVIRONMENT.report(_KEY_IS_ANOTHER)
    except ConfigurationError:
        return  # reported by check_key
    else:
        ENVIRONMENT.resolve(_KEY_IS_ANOTHER.code)


def encrypt(plain_text: str) -> str:
    """Encrypt with [core] fernet_key.

    :raises FernetKeyMalformed: it is not a key, or one of several is not
    :raises FernetKeyMissing: it is empty
    """
    encrypted: bytes = _fernet().encrypt(plain_text.encode())
    return encrypted.decode("ascii")


# Cached by the encrypted text, which a rotation of the token replaces.
@lru_cache(maxsize=4096)
def decrypt(encrypted: str) -> str:
    """Decrypt what :func:`encrypt` returned; cached, because each request needs it.

    :raises TokenUnreadable: the key is empty, malformed, or not the one that it was encrypted with
    """
    try:
        decrypted: bytes = _fernet().decrypt(encrypted.encode("ascii"))
    except InvalidToken:
        raise TokenUnreadable from None
    except ConfigurationError as error:
        raise TokenUnreadable(error.message) from None
    return decrypted.decode()


def reencrypt(encrypted: str) -> str:
    """Encrypt again with the first key in [core] fernet_key.

    :raises FernetKeyMalformed: it is not a key, or one of several is not
    :raises FernetKeyMissing: it is empty
    :raises TokenUnreadable: none of the keys decrypts it
    """
    fernet = _fernet()
    try:
        # The first key of several encrypts; rotate() decrypts with any of them.
        rotated: bytes = fernet.rotate(encrypted.encode("ascii"))
    except InvalidToken:
        raise TokenUnreadable from None
    return rotated.decode("ascii")


def _fernet() -> Any:
    try:
        fernet = get_fernet()
    except AirflowException:  # of a key that is no key
        raise FernetKeyMalformed from None
    if not fernet.is_encrypted:
        raise FernetKeyMissing
    return fernet
