"""Authorization: the only module that calls Airflow's auth manager.

Managing a webhook requires permission on the view :data:`VIEW` and the right to trigger the webhook's DAG.
Seeing it requires the right to read the DAG; bodies and conf require the right to read its runs.
Without a DAG, the right to create events of the webhook's asset takes the place of the first, and the right
to read assets that of the others; without an asset, the permission on the view is all there is.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cached_property
from typing import Any, Literal

from airflow.api_fastapi.auth.managers.models.resource_details import (
    AccessView,
    AssetDetails,
    DagAccessEntity,
    DagDetails,
)

from inbound_webhooks.airflow_bridge.assets import find_asset
from inbound_webhooks.airflow_bridge.fab_roles import has_roles
from inbound_webhooks.airflow_bridge.stored_users import restored_user
from inbound_webhooks.airflow_bridge.teams import cached_teams, has_teams, teams_of
from inbound_webhooks.airflow_bridge.users import stored_users
from inbound_webhooks.errors import Problem
from inbound_webhooks.event.json_text import text_problem
from inbound_webhooks.event.waiting import waits
from inbound_webhooks.records.target import EVERY_DAG, Origin, Subject, subject_of
from inbound_webhooks.records.webhook import FIELDS, Draft, Webhook
from inbound_webhooks.storage.database import transaction
from inbound_webhooks.storage.origins import webhooks_without_dag
from inbound_webhooks.storage.webhooks import all_routes, find_webhook, teams_by_dag

VIEW = "Webhooks"
"""The view that FabAuthManager's permissions belong to."""

Teams = frozenset[str | None]
"""Teams whose permission is needed; None among them stands for no team."""

Owned = Any
"""What a permission is asked for: a webhook or its draft, a delivery or another row with the columns
``dag_id`` and ``webhook_id``, an :class:`Origin`, or the id of a DAG; "" for deliveries
of which only that is known that they have no DAG."""

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

MAY_NOT_ROUTE = (
    "A webhook that gets the events of another one has its requests: that webhook must exist, and you need "
    "permission to change it and to read its requests."
)
MAY_NOT_RETARGET = (
    "The users of another target get the webhook's requests: you need permission to read its requests."
)
MAY_NOT_SHARE = "Dags that may wait get the events: you need permission to trigger each of them."

READERS = ("dag_id", "asset", "waiting_dags")
"""The fields of a webhook whose users get its requests."""

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
        self._checked_assets: dict[tuple[Method, str], bool] = {}
        self._teams: dict[str, Teams] = {}
        self._known: set[str] = set()
        self._sources: dict[str, Webhook | None] = {}

    @property
    def name(self) -> str:
        """The user's name, for the audit log."""
        return str(self.user.get_name())

    def may_view(self, method: Method) -> bool:
        """Whether the user has the permission on the view; most actions also require the right to the DAG."""
        return self._check("view", method, None)

    def may_see(self, owned: Owned) -> bool:
        """Whether the user may know that a webhook, a delivery, or webhooks of a DAG exist."""
        return self.may_view("GET") and self._may(self._subject(owned), "dag", "GET")

    def may_trigger(self, dag_id: str | None) -> bool:
        """Whether the user may start runs of a DAG, or of any DAG if it is None."""
        return self._check("run", "POST", dag_id)

    def may_change(self, owned: Owned, method: Method = "PUT") -> bool:
        """Whether the user may create, edit or delete a webhook, or webhooks of a DAG."""
        subject = self._subject(owned)
        return self.may_see(subject) and self.may_view(method) and self._may(subject, "run", "POST")

    @property
    def may_hold_all(self) -> bool:
        """Whether the user may put all webhooks on hold, as far as the user may change each of them."""
        # SimpleAuthManager lets every viewer edit the view.
        return self.may_view("GET") and self.may_view("PUT") and self.may_trigger(None)

    @cached_property
    def may_change_every(self) -> bool:
        """Whether the user may change every webhook, those included that others will create."""
        # Without an id of a DAG, FabAuthManager does not ask for the right to DAGs.
        return self.may_change(EVERY_DAG) and bool(
            self._manager.is_authorized_asset(method="POST", user=self.user)
        )

    def may_unpause(self, dag_id: str) -> bool:
        """Whether the user may unpause a DAG, as Airflow's own pages require it; False without a DAG."""
        return bool(dag_id) and self.may_see(dag_id) and self._check("dag", "PUT", dag_id)

    def may_clear(self, dag_id: str) -> bool:
        """Whether the user may clear tasks of a DAG, as Airflow's own pages require it."""
        return self.may_see(dag_id) and self._check("task", "PUT", dag_id)

    def may_read_runs(self, owned: Owned) -> bool:
        """Whether the user may see bodies, headers, queries and conf.

        An asset event shows its conf to all who may read assets. With neither DAG nor asset, only users who
        may edit webhooks see them.
        """
        subject = self._subject(owned)
        if subject == Subject():
            return self.may_change(subject) and all(map(self.may_read_runs, self._routes_of(owned)))
        return self.may_see(subject) and self._may(subject, "run", "GET")

    def save_problem(self, draft: Draft, stored: Webhook | None) -> Problem | None:
        """Why the user may not save a definition of a webhook that they may change; None if they may.

        A response that waits has the result of a run, which senders and the webhook's users then get. A
        webhook that gets the events of another one gives that one's requests to its users, and a webhook
        with another target gives its own to the users of that one.

        :param stored: the webhook that the draft changes; None for a new one
        """
        if waits(draft) and draft.dag_id and not self._check("xcom", "GET", draft.dag_id):
            return Problem(MAY_NOT_READ_RESULTS, "wait_seconds")
        is_valid = not text_problem(draft.source) and FIELDS["source"].problem(draft.source) is None
        if draft.source is not None and is_valid and self.checked_source(draft) is None:
            return Problem(MAY_NOT_ROUTE, "source")
        if stored is not None and not self.may_read_runs(stored):
            changed = [name for name in READERS if getattr(draft, name) != getattr(stored, name)]
            if changed:
                return Problem(MAY_NOT_RETARGET, changed[0])
        # Tasks that wait get the events, as the runs of another DAG would.
        if not all(map(self.may_trigger, draft.waiting_dags)):
            return Problem(MAY_NOT_SHARE, "waiting_dags")
        return None

    def checked_source(self, draft: Draft) -> Webhook | None:
        """The webhook whose events a draft gets, if the user may change it and read its requests."""
        if draft.source is None or text_problem(draft.source):
            return None
        if draft.source not in self._sources:
            with transaction() as connection:
                found = find_webhook(connection, draft.source)
            may = found is not None and self.may_change(found) and self.may_read_runs(found)
            self._sources[draft.source] = found if may else None
        return self._sources[draft.source]

    def may_replay(self, owned: Owned) -> bool:
        """Whether the user may replay a webhook's deliveries, or those of a DAG's webhooks."""
        return self.may_change(owned) and self.may_read_runs(owned)

    def replay_problem(self, delivery: Owned, webhook: Webhook) -> str | None:
        """Why the user may not replay a delivery; None if they may.

        :param webhook: its webhook as it is now; its target was another one if that has changed
        """
        if not self.may_read_runs(delivery):
            what = f"the runs of the DAG {delivery.dag_id}" if delivery.dag_id else "the webhook's requests"
            return f"{self.name} may not read {what}."
        if not self.may_replay(webhook):
            if not webhook.dag_id:
                return f"{self.name} lacks the permission {subject_of(webhook).right()}."
            return f"{self.name} may not trigger the DAG {webhook.dag_id} or change its webhooks."
        return None

    def claims(self) -> dict[str, Any]:
        """The user as the auth manager stores it in a token; encrypt it, as it may hold credentials."""
        return dict(self._manager.serialize_user(self.user))

    def may_replay_one_of(self, origins: Collection[Origin]) -> bool:
        """Whether to offer replays of deliveries; each is checked by :meth:`replay_problem`."""
        if not (self.may_view("GET") and self.may_view("PUT")):
            return False
        if self.may_trigger(None):
            return True
        named = {each.dag_id for each in origins if each.dag_id}
        self._load_teams([dag_id for dag_id in named if dag_id not in self._teams])
        return any(map(self.may_replay, origins))

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
        if not (self.may_view("GET") and self.may_view("POST")):
            return False
        return self.may_trigger(None) or bool(
            self._manager.is_authorized_asset(method="POST", user=self.user)
        )

    def team_for(self, owned: Owned) -> str | None:
        """The team to record with a webhook that the user saves; None outside of multi-team mode.

        It is the team for which :meth:`may_change` was checked. A DAG that does not exist yet has none, and
        an asset never has one: then it is the user's own team, if the user has one and the right in it.
        """
        if not has_teams():
            return None
        own, subject = self._manager.get_authorized_teams, self._subject(owned)
        if not subject.dag_ids:
            teams = own(user=self.user)
            return next(iter(teams)) if len(teams) == 1 else None
        dag_id = subject.dag_ids[0]
        teams = self._teams_of(dag_id)
        if dag_id in self._known:
            return next(iter(teams))
        mine = [team for team in own(user=self.user) if self._is_authorized("run", "POST", dag_id, team)]
        return mine[0] if len(mine) == 1 else None

    def visible(self, origins: Collection[Origin]) -> set[Origin]:
        """Those of some origins of which the user may see webhooks and deliveries."""
        dag_ids = self.readable({each.dag_id for each in origins if each.dag_id})
        others = {each for each in origins if not each.dag_id and self.may_see(each)}
        return {Origin(dag_id) for dag_id in dag_ids} | others

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

    def _subject(self, owned: Owned) -> Subject:
        if isinstance(owned, Subject):
            return owned
        if isinstance(owned, str):
            return Subject((owned,)) if owned else EVERY_DAG
        if isinstance(owned, Draft):
            return subject_of(owned)
        if owned.dag_id:
            return Subject((owned.dag_id,))
        if (asset := getattr(owned, "asset", None)) is not None:
            return Subject(asset=asset)
        # Without its webhook, a row does not tell who may see it.
        return self._without_dag.get(owned.webhook_id, EVERY_DAG)

    @cached_property
    def _without_dag(self) -> dict[str, Subject]:
        with transaction() as connection:
            return {key: subject_of(webhook) for key, webhook in webhooks_without_dag(connection).items()}

    def _routes_of(self, owned: Owned) -> Sequence[Subject]:
        """What the permissions on the webhooks depend on that get the events of one without a target."""
        webhook_id = getattr(owned, "id" if isinstance(owned, Webhook) else "webhook_id", "")
        return self._routes.get(webhook_id, ())

    @cached_property
    def _routes(self) -> dict[str, list[Subject]]:
        found: dict[str, list[Subject]] = {}
        with transaction() as connection:
            for route in all_routes(connection):
                found.setdefault(route.source or "", []).append(subject_of(route))
        return found

    def _may(self, subject: Subject, what: str, method: Method) -> bool:
        """Whether the user may do something with all of the DAGs and the asset."""
        if subject.asset is not None and not self._check_asset(method, subject.asset):
            return False
        return all(self._check(what, method, dag_id) for dag_id in subject.dag_ids)

    def _check_asset(self, method: Method, asset: str) -> bool:
        if (method, asset) not in self._checked_assets:
            with transaction() as connection:
                found = find_asset(connection, asset)
            # Of an asset that Airflow does not know yet, the right to all assets decides.
            details = None if found is None else AssetDetails(id=str(found.id))
            self._checked_assets[method, asset] = bool(
                self._manager.is_authorized_asset(method=method, details=details, user=self.user)
            )
        return self._checked_assets[method, asset]

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
