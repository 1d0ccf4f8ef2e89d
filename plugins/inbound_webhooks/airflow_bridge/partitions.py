"""Partition keys of DAG runs, which Airflow has from 3.3 on."""

from __future__ import annotations

import inspect
from typing import Any

from airflow.serialization.definitions.dag import SerializedDAG

from inbound_webhooks.errors import RunRefused

HAS_PARTITIONS = "partition_date" in inspect.signature(SerializedDAG.create_dagrun).parameters
"""Whether a run can be created for a partition."""


def partition_of(dag: Any, key: str | None) -> dict[str, Any]:
    """The arguments of ``create_dagrun`` for a partition; none without a key.

    :raises RunRefused: this Airflow, or the DAG, has no partitions
    """
    if key is None:
        return {}
    if not HAS_PARTITIONS:
        raise RunRefused("This version of Airflow has no partitions of runs. Remove the partition key.")
    timetable = dag.timetable
    if not (timetable.partitioned or timetable.partitioned_at_runtime):
        raise RunRefused(f"DAG {dag.dag_id} is not partitioned, so its runs have no partition key.")
    return {"partition_key": key, "partition_date": timetable.resolve_partition_date(key)}
