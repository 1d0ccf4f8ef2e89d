"""What `make test` leaves to `make test-all`, beside the tests that say so themselves with the mark `long`.

A test of both endpoints on both databases is in `make test` only at the api-server's on SQLite and at the
gateway's on PostgreSQL; the contract's own modules run at all four. Modules and tests in which nothing
depends on the database run on SQLite only, those about what both endpoints share at the api-server's, and
those in which nothing depends on the auth manager under Fab.
"""

from __future__ import annotations

import pytest

CONTRACT = (
    "integration/receiver/test_responses.py",
    "integration/receiver/test_order.py",
    "promises/test_changes_between.py",
    "promises/test_deduplication.py",
    "promises/test_unstorable_values.py",
)
ON_SQLITE = (
    "integration/test_metrics.py",
    "integration/dispatch/test_templates.py",
    # A browser's stories: those of a new user and of a failed delivery under SimpleAuthManager, that of the
    # roles under Fab.
    "acceptance/test_browser.py",
    "acceptance/test_pages_delivery.py",
    # On PostgreSQL a new user, a crash and kills have runs of a real Airflow.
    "acceptance/test_examples.py",
    "acceptance/test_waiting.py",
    # Verification and deduplication of each sender run on both databases in integration/receiver.
    "acceptance/test_results.py",
    # The canaries walk through all features on PostgreSQL.
    "acceptance/test_secrecy.py",
    "acceptance/test_senders.py",
)
AT_THE_API_SERVER = (
    # The guard is the same at both.
    "promises/isolation/test_body_buffer.py",
    "integration/receiver/test_exhausted_database.py",
)
UNDER_FAB = (
    # What is asked has nothing to do with who asks; under Fab it runs on PostgreSQL.
    "integration/rest/test_every_field.py",
)
PAIRS = {("blueprint", "sqlite"), ("gateway", "postgresql")}
AUTH_MANAGERS = ("simple", "fab")
ENDPOINTS = ("blueprint", "gateway")
DATABASES = ("sqlite", "postgresql")


def mark_long(items: list[pytest.Item]) -> None:
    """Mark what runs at the other endpoint on a database, and what needs no second database."""
    for item in items:
        endpoint, database = _one_of(ENDPOINTS, item), _one_of(DATABASES, item)
        path = item.path.as_posix()
        named = f"{path}::{getattr(item, 'originalname', item.name)}"
        if database == "postgresql" and (path.endswith(ON_SQLITE) or named.endswith(ON_SQLITE)):
            item.add_marker(pytest.mark.long)
        if path.endswith(UNDER_FAB) and _one_of(AUTH_MANAGERS, item) == "simple":
            item.add_marker(pytest.mark.long)
        if endpoint == "gateway" and path.endswith(AT_THE_API_SERVER):
            item.add_marker(pytest.mark.long)
        is_contract = path.endswith(CONTRACT)
        if endpoint and database and not is_contract and (endpoint, database) not in PAIRS:
            item.add_marker(pytest.mark.long)


def _one_of(names: tuple[str, ...], item: pytest.Item) -> str | None:
    """Which of these a test has among its parameters."""
    parameters = item.callspec.params.values() if hasattr(item, "callspec") else ()
    flat = [value for it in parameters for value in (it if isinstance(it, tuple) else (it,))]
    return next((name for name in names if name in flat), None)
