"""Authorization: the only module that calls Airflow's auth manager.

Managing a webhook requires permission on the view :data:`VIEW` and the right to trigger the webhook's DAG.
Seeing it requires the right to read the DAG; bodies and conf require the right to read its runs.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cached_property
from typing import Any, Literal

from airflow.api_fastapi.auth.managers.models.resource_details import AccessView, DagAccessEntity, DagDetails

from inbound_webhooks.airflow_bridge.fab_roles import has_roles
from inbound_webhooks.airflow_bridge.stored_users import restored_user
from inbound_webhooks.airflow_bridge.teams import cached_teams, has_teams, teams_of
from inbound_webhooks.airflow_bridge.users import stored_users
from inbound_webhooks.event.waiting import waits
from inbound_webhooks.records.webhook import Draft
from inbound_webhooks.storage.database import transaction
from inbound_webhooks.storage.webhooks import teams_by_dag

VIEW = "Webhooks"
"""The view that FabAuthManager's permissions belong to."""

Teams = frozenset[str | None]
"""Teams whose permission is needed; None among them stands for no team."""

Method = Literal["GET", "POST", "PUT", "DELETE"]
"""Read, create, edit and delete, as auth managers name them."""

ENTITIES = {
    "run": DagAccessEntity.RUN,
    "task": DagAccessEntity.TASK_INSTANCE,
    "xcom": DagAccessEntity.XCOM,
}
"""Parts of a DAG that a permission may be for; without one, it is for the DAG itself."""

MAY_NOT_READ_RESULTS = (
    "A response that waits has the run's result: you need permission to read the Dag's XComs."
)

ACTIONS = ("can_read", "can_create", "can_edit", "can_delete")


def auth_manager() -> Any:
    """The auth manager of Airflow's api-server."""
    # Imported here because it builds half of the api-server, which most commands do not need.
    from airflow.api_fastapi.app import get_auth_manager

    return get_auth_manager()


class Access:
    """The permissions of one user, checked at most once per request and DAG."""

    def __init__(self, user: Any) -> None:
        self.user = user
        self._manager = auth_manager()
        self._checked: dict[tuple[str, str, str | None], bool] = {}
        self._teams: dict[str, Teams] = {}
        self._known: set[str] = set()

    @property
    def name(self) -> str:
        """The user's name, for the audit log."""
        return str(self.user.get_name())

    def may_view(self, method: Method) -> bool:
        """Whether the user has the permission on the view; most actions also require the right to the DAG."""
        return self._check("view", method, None)

    def may_see(self, dag_id: str) -> bool:
        """Whether the user may know that webhooks of a DAG exist."""
        return self.may_view("GET") and self._check("dag", "GET", dag_id)

    def may_trigger(self, dag_id: str | None) -> bool:
        """Whether the user may start runs of a DAG, or of any DAG if it is None."""
        return self._check("run", "POST", dag_id)

    def may_change(self, dag_id: str, method: Method = "PUT") -> bool:
        """Whether the user may create, edit or delete webhooks of a DAG."""
        return self.may_see(dag_id) and self.may_view(method) and self.may_trigger(dag_id)

    @property
    def may_hold_all(self) -> bool:
        """Whether the user may put all webhooks on hold, as far as the user may change each of them."""
        return self.may_view("GET") and self.may_view("PUT")

    def may_unpause(self, dag_id: str) -> bool:
        """Whether the user may unpause a DAG, as Airflow's own pages require it."""
        return self.may_see(dag_id) and self._check("dag", "PUT", dag_id)

    def may_clear(self, dag_id: str) -> bool:
        """Whether the user may clear tasks of a DAG, as Airflow's own pages require it."""
        return self.may_see(dag_id) and self._check("task", "PUT", dag_id)

    def may_read_runs(self, dag_id: str) -> bool:
        """Whether the user may see bodies, headers, queries and conf."""
        return self.may_see(dag_id) and self._check("run", "GET", dag_id)

    def may_save(self, draft: Draft) -> bool:
        """Whether the user may save a definition of a webhook that they may change.

        A response that waits has the result of a run, which senders and the webhook's users then get.
        """
        return not waits(draft) or self._check("xcom", "GET", draft.dag_id)

    def may_replay(self, dag_id: str) -> bool:
        """Whether the user may replay deliveries of a DAG's webhooks."""
        return self.may_change(dag_id) and self.may_read_runs(dag_id)

    def replay_problem(self, dag_id: str, webhook_dag_id: str) -> str | None:
        """Why the user may not replay a delivery; None if they may.

        :param webhook_dag_id: the webhook's current DAG; the delivery's was another one if that has changed
        """
        if not self.may_read_runs(dag_id):
            return f"{self.name} may not read the runs of the DAG {dag_id}."
        if not self.may_replay(webhook_dag_id):
            return f"{self.name} may not trigger the DAG {webhook_dag_id} or change its webhooks."
        return None

    def claims(self) -> dict[str, Any]:
        """The user as the auth manager stores it in a token; encrypt it, as it may hold credentials."""
        return dict(self._manager.serialize_user(self.user))

    def may_replay_one_of(self, dag_ids: Collection[str]) -> bool:
        """Whether to offer replays of deliveries of these DAGs; each is checked by :meth:`replay_problem`."""
        if not (self.may_view("GET") and self.may_view("PUT")):
            return False
        if self.may_trigger(None):
            return True
        self._load_teams([dag_id for dag_id in dag_ids if dag_id not in self._teams])
        return any(self.may_replay(dag_id) for dag_id in dag_ids)

    @cached_property
    def may_see_plugins(self) -> bool:
        """Whether Airflow names plugins to the user; without it, no menu or tab leads to the pages."""
        return bool(self._manager.is_authorized_view(access_view=AccessView.PLUGINS, user=self.user))

    @cached_property
    def may_see_roles(self) -> bool:
        """Whether the user administers roles; only FabAuthManager has them."""
        return has_roles(type(self._manager)) and bool(
            self._manager.is_authorized_custom_view(method="GET", resource_name="Roles", user=self.user)
        )

    @cached_property
    def may_create_any(self) -> bool:
        """Whether to offer the form for a new webhook."""
        return self.may_view("GET") and self.may_view("POST") and self.may_trigger(None)

    def team_for(self, dag_id: str) -> str | None:
        """The team to record with a webhook that the user saves for a DAG; None outside of multi-team mode.

        It is the team for which :meth:`may_change` was checked. A DAG that does not exist yet has none: then
        it is the user's own team, if the user has one and may trigger the DAG in it.
        """
        if not has_teams():
            return None
        teams = self._teams_of(dag_id)
        if dag_id in self._known:
            return next(iter(teams))
        own = self._manager.get_authorized_teams(user=self.user)
        mine = [team for team in own if self._is_authorized("run", "POST", dag_id, team)]
        return mine[0] if len(mine) == 1 else None

    def readable(self, dag_ids: Collection[str]) -> set[str]:
        """The subset of DAG ids whose webhooks the user may see; the DAGs need not exist."""
        if not dag_ids or not self.may_view("GET"):
            return set()
        known = set(dag_ids) & self._manager.get_authorized_dag_ids(user=self.user)
        # Airflow lists only DAGs that it knows, and a webhook may exist before its DAG.
        unknown = sorted(set(dag_ids) - known)
        self._load_teams(unknown)
        return known | {dag_id for dag_id in unknown if self._check("dag", "GET", dag_id)}

    def users(self, text: str) -> list[dict[str, str]]:
        """Airflow's users whose name or address contains a text, if the user may read users; else none."""
        # Only FabAuthManager stores users, and only its answer depends on the resource.
        may_read = self._manager.is_authorized_custom_view(
            method="GET", resource_name="Users", user=self.user
        )
        return (stored_users(self._manager, text) or []) if may_read else []

    def triggerable(self, dag_ids: Collection[str]) -> list[str]:
        """The subset of DAG ids for which the user may create webhooks."""
        return sorted(dag_id for dag_id in dag_ids if self.may_change(dag_id, "POST"))

    def _check(self, what: str, method: Method, dag_id: str | None) -> bool:
        key = (what, method, dag_id)
        if key not in self._checked:
            self._checked[key] = self._ask_auth_manager(what, method, dag_id)
        return self._checked[key]

    def _ask_auth_manager(self, what: str, method: Method, dag_id: str | None) -> bool:
        if what == "view":
            return bool(
                self._manager.is_authorized_custom_view(method=method, resource_name=VIEW, user=self.user)
            )
        if dag_id is None:
            return self._is_authorized(what, method, None, None)
        return all(self._is_authorized(what, method, dag_id, team) for team in self._teams_of(dag_id))

    def _teams_of(self, dag_id: str) -> Teams:
        """The teams whose permission an action on a DAG needs."""
        if dag_id not in self._teams:
            self._load_teams([dag_id])
        return self._teams[dag_id]

    def _load_teams(self, dag_ids: Collection[str]) -> None:
        if not has_teams():
            self._teams |= {dag_id: frozenset({team}) for dag_id, team in cached_teams(dag_ids).items()}
            return
        with transaction() as connection:
            known = teams_of(connection, dag_ids)
            # A DAG that does not exist yet belongs to the teams of the webhooks that wait for it: users of
            # another team could read their URLs, and call them once the DAG exists.
            waiting = teams_by_dag(connection, set(dag_ids) - known.keys())
        self._known |= known.keys()
        for dag_id in dag_ids:
            teams = {known[dag_id]} if dag_id in known else waiting.get(dag_id, {None})
            self._teams[dag_id] = frozenset(teams)

    def _is_authorized(self, what: str, method: Method, dag_id: str | None, team: str | None) -> bool:
        details = None if dag_id is None else DagDetails(id=dag_id, team_name=team)
        entity = ENTITIES.get(what)
        return bool(
            self._manager.is_authorized_dag(
                method=method, access_entity=entity, details=details, user=self.user
            )
        )


def restored(claims: dict[str, Any]) -> Access:
    """The current access of a user without a request of theirs, from :meth:`Access.claims`.

    :raises NotPermitted: the user no longer exists or is inactive, or the auth manager cannot tell
    """
    return Access(restored_user(claims))
