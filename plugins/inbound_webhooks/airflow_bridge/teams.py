"""The teams of DAGs in Airflow's multi-team mode: a DAG belongs to the team of its bundle, if it has one."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from airflow.configuration import conf
from airflow.models.dag import DagModel
from airflow.models.team import dag_bundle_team_association_table
from sqlalchemy import Connection, literal, select

from inbound_webhooks.storage.database import transaction


@dataclass(frozen=True)
class Owner:
    """The team that a DAG belongs to, or None; every webhook may start a DAG where Airflow has no teams."""

    team: str | None = None
    has_teams: bool = False

    def admits(self, webhook_team: str | None) -> bool:
        """Whether a webhook of this team may start the DAG.

        Equality, so that neither an id that moves to another team nor a DAG that appears later is started by
        a webhook whose user was never asked for the right to that team's DAGs.
        """
        return not self.has_teams or self.team == webhook_team


EVERYONE = Owner()
"""The owner of every DAG outside of multi-team mode."""


def has_teams() -> bool:
    """Whether Airflow runs in multi-team mode."""
    return conf.getboolean("core", "multi_team", fallback=False)


def team_column() -> Any:
    """The team's name as a column of a query on DagModel; null outside of multi-team mode."""
    return _TEAM if has_teams() else literal(None)


def owner_of(connection: Connection, dag_id: str) -> Owner:
    """The owner of one DAG; queries only in multi-team mode."""
    return Owner(teams_of(connection, [dag_id]).get(dag_id), has_teams=True) if has_teams() else EVERYONE


def teams_of(connection: Connection, dag_ids: Collection[str]) -> dict[str, str | None]:
    """DAG id -> team or None, without DAGs that Airflow does not know.

    Airflow's own look-up caches a team for half a minute, in which a DAG may have got another one.
    """
    rows = connection.execute(select(DagModel.dag_id, _TEAM).where(DagModel.dag_id.in_(dag_ids)))
    return {row[0]: row[1] for row in rows}


def cached_teams(dag_ids: Collection[str]) -> dict[str, str | None]:
    """The teams of DAGs as Airflow's own pages look them up, with its cache."""
    if len(dag_ids) == 1:
        return {dag_id: DagModel.get_team_name(dag_id) for dag_id in dag_ids}
    found = DagModel.get_dag_id_to_team_name_mapping(list(dag_ids)) if dag_ids else {}
    return {dag_id: found.get(dag_id) for dag_id in dag_ids}


def current_team(dag_id: str) -> str | None:
    """The team of a DAG; None without a query outside of multi-team mode."""
    if not has_teams():
        return None
    with transaction() as connection:
        return teams_of(connection, [dag_id]).get(dag_id)


_TEAM = (
    select(dag_bundle_team_association_table.c.team_name)
    .where(dag_bundle_team_association_table.c.dag_bundle_name == DagModel.bundle_name)
    .correlate(DagModel)
    .scalar_subquery()
)
