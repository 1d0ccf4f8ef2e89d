"""Tokens and secrets of a webhook."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True)
class Credential:
    """One of a webhook's tokens (``purpose`` is empty) or secrets, encrypted.

    ``source_url`` is the URL that a public key was fetched from, None for a secret that a user entered.
    """

    id: int
    purpose: str
    encrypted: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    source_url: str | None = None

    def is_valid(self, now: datetime) -> bool:
        """Whether it has not expired."""
        return self.expires_at is None or self.expires_at > now


def plain_secrets(secrets: Iterable[Credential], decrypt: Callable[[str], str]) -> dict[str, list[str]]:
    """Purpose -> decrypted secrets, in the given order."""
    plain: dict[str, list[str]] = {}
    for secret in secrets:
        plain.setdefault(secret.purpose, []).append(decrypt(secret.encrypted))
    return plain
