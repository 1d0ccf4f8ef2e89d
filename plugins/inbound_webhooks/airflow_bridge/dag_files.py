"""Reads the params of DAGs from DAG files, as Airflow would store them; needs no database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from airflow.dag_processing.dagbag import DagBag
from airflow.serialization.serialized_objects import DagSerialization

from inbound_webhooks.airflow_bridge.dag_cache import params_of
from inbound_webhooks.errors import Problem
from inbound_webhooks.event.conf.parameter import Parameter


@dataclass
class ParsedDags:
    """The DAGs of some folders: DAG id -> params, and the files that could not be parsed."""

    params: dict[str, Mapping[str, Parameter]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def parse_dags(folders: list[Path]) -> ParsedDags:
    """Parse the DAG files in folders; this executes their code, as Airflow does."""
    parsed = ParsedDags()
    for folder in folders:
        if not folder.exists():
            parsed.problems.append(Problem("No such file or directory", file=str(folder)))
            continue
        bag = DagBag(folder)
        for dag_id, dag in bag.dags.items():
            # Via the serialized form, which is what the endpoint will read.
            parsed.params[dag_id] = params_of(DagSerialization.from_dict(DagSerialization.to_dict(dag)))
        for file, traceback in bag.import_errors.items():
            last_line = traceback.strip().splitlines()[-1] if traceback.strip() else "it cannot be imported"
            parsed.problems.append(Problem(last_line, file=str(file)))
    return parsed
