"""Who may do what: the one place that asks Airflow's auth manager, whichever it is.

Managing needs the permission on the view :data:`VIEW` and the right to trigger the webhook's DAG, seeing
needs the right to read the DAG, and what requests and runs held needs the right to read its runs.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cached_property
from typing import Any, Literal

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.models.dag import DagModel

VIEW = "Webhooks"
"""The name of the view on which FabAuthManager keeps permissions."""

Method = Literal["GET", "POST", "PUT", "DELETE"]
"""Read, create, edit and delete, as auth managers name them."""

ACTIONS = ("can_read", "can_create", "can_edit", "can_delete")
GRANTED: dict[str, tuple[str, ...]] = {
    "Viewer": ("can_read",),
    "User": ACTIONS,
    "Op": ACTIONS,
    "Admin": ACTIONS,
}
"""What Airflow's own roles may do on the view, until somebody takes it from them."""


def auth_manager() -> Any:
    """Airflow's, which its api-server has made."""
    # Importing this builds half of the api-server, which commands that look at plugins can do without.
    from airflow.api_fastapi.app import get_auth_manager

    return get_auth_manager()


class Access:
    """What one user may do, asked once a request at most for each DAG."""

    def __init__(self, user: Any) -> None:
        self.user = user
        self._manager = auth_manager()
        self._asked: dict[tuple[str, str, str | None], bool] = {}

    @property
    def name(self) -> str:
        """The user's name, for the audit log."""
        return str(self.user.get_name())

    def may_view(self, method: Method) -> bool:
        """Whether the view allows it to somebody who may trigger the DAG as well."""
        return self._ask("view", method, None)

    def may_see(self, dag_id: str) -> bool:
        """Whether the webhooks of a DAG exist for the user at all."""
        return self.may_view("GET") and self._ask("dag", "GET", dag_id)

    def may_trigger(self, dag_id: str | None) -> bool:
        """Whether the user may start runs of a DAG; without one, of DAGs at all."""
        return self._ask("run", "POST", dag_id)

    def may_change(self, dag_id: str, method: Method = "PUT") -> bool:
        """Whether the user may create, edit or delete webhooks of a DAG."""
        return self.may_see(dag_id) and self.may_view(method) and self.may_trigger(dag_id)

    def may_read_runs(self, dag_id: str) -> bool:
        """Whether bodies, headers, queries and conf may be shown."""
        return self.may_see(dag_id) and self._ask("run", "GET", dag_id)

    def may_replay(self, dag_id: str) -> bool:
        """Whether the user may start a run with a stored request."""
        return self.may_change(dag_id) and self.may_read_runs(dag_id)

    @cached_property
    def may_create_any(self) -> bool:
        """Whether it makes sense to offer the form of a new webhook."""
        return self.may_view("GET") and self.may_view("POST") and self.may_trigger(None)

    def readable(self, dag_ids: Collection[str]) -> set[str]:
        """Those of the DAGs whose webhooks the user may see; they need not exist."""
        if not dag_ids or not self.may_view("GET"):
            return set()
        known = set(dag_ids) & self._manager.get_authorized_dag_ids(user=self.user)
        # Airflow lists only DAGs that it knows; a webhook may be there before its DAG.
        others = sorted(set(dag_ids) - known)
        teams = DagModel.get_dag_id_to_team_name_mapping(others) if others else {}
        return known | {dag_id for dag_id in others if self._may("dag", "GET", dag_id, teams.get(dag_id))}

    def triggerable(self, dag_ids: Collection[str]) -> list[str]:
        """Those of the DAGs for which the user may make webhooks."""
        return sorted(dag_id for dag_id in dag_ids if self.may_change(dag_id, "POST"))

    def _ask(self, what: str, method: Method, dag_id: str | None) -> bool:
        key = (what, method, dag_id)
        if key not in self._asked:
            self._asked[key] = self._respond(what, method, dag_id)
        return self._asked[key]

    def _respond(self, what: str, method: Method, dag_id: str | None) -> bool:
        if what == "view":
            return bool(
                self._manager.is_authorized_custom_view(method=method, resource_name=VIEW, user=self.user)
            )
        return self._may(what, method, dag_id, None if dag_id is None else DagModel.get_team_name(dag_id))

    def _may(self, what: str, method: Method, dag_id: str | None, team: str | None) -> bool:
        details = None if dag_id is None else DagDetails(id=dag_id, team_name=team)
        entity = DagAccessEntity.RUN if what == "run" else None
        return bool(
            self._manager.is_authorized_dag(
                method=method, access_entity=entity, details=details, user=self.user
            )
        )


def create_permissions(security_manager: Any) -> None:
    """Make FabAuthManager's permissions on the view, and give new ones to Airflow's own roles.

    One that is there already is left as it is: an administrator may have taken it from a role. Another
    security manager has no permissions to make.
    """
    if not hasattr(security_manager, "create_permission"):
        return
    for action in ACTIONS:
        if security_manager.get_permission(action, VIEW) is not None:
            continue
        permission = security_manager.create_permission(action, VIEW)
        for role_name, granted in GRANTED.items():
            role = security_manager.find_role(role_name)
            if role is not None and action in granted:
                security_manager.add_permission_to_role(role, permission)
