"""A PostgreSQL that may crash."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.infrastructure.postgres import PostgresCluster


@pytest.fixture
def own_cluster(migrated_cluster) -> Iterator[PostgresCluster]:
    """A server that may crash: a commit is on the disk when it returns, as in production."""
    cluster = PostgresCluster(fsync=True, copy_of=migrated_cluster)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.remove()
