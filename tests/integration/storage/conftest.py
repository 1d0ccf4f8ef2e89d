"""Databases without any table, and Fernet keys that a test may change: Airflow and we both remember one."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database(request: pytest.FixtureRequest, tmp_path):
    """A function that connects Airflow to another database without any table."""
    from tests.infrastructure.databases import connect_airflow, disconnect_airflow
    from tests.infrastructure.environment import sqlite_url

    made: list[str] = []

    def connect(name: str) -> None:
        if request.param == "sqlite":
            connect_airflow(sqlite_url(tmp_path / f"{name}.db"))
            return
        cluster = request.getfixturevalue("postgres_cluster")
        cluster.drop_database(name)
        connect_airflow(cluster.create_database(name))
        made.append(name)

    yield connect
    disconnect_airflow()
    for name in made:
        request.getfixturevalue("postgres_cluster").drop_database(name)


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
