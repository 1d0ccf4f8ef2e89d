"""A PostgreSQL that may crash."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.infrastructure.postgres import PostgresCluster


@pytest.fixture
def own_cluster(migrated_cluster) -> Iterator[PostgresCluster]:
    """A server that may crash: a commit is on the disk when it returns, as in production."""
    # The sessions of killed processes live on for a while beside those of their successors.
    cluster = PostgresCluster(fsync=True, options=("max_connections=300",), copy_of=migrated_cluster)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.remove()
