"""Fernet keys that a test may change: Airflow and we both remember the one of the process."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest


@pytest.fixture
def use_fernet_key(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """A function that starts afresh with these keys, comma-separated and newest first, as a restart does."""

    def use(keys: str) -> None:
        monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", keys)
        forget_keys()

    yield use
    monkeypatch.undo()
    forget_keys()


def forget_keys() -> None:
    from airflow.models.crypto import get_fernet

    from inbound_webhooks.storage.encryption import decrypt

    get_fernet.cache_clear()
    decrypt.cache_clear()
