"""The pages in this process, in the application that Airflow builds for plugins, and users of either kind."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import MetaData, Table
from werkzeug.datastructures import MultiDict

AUTH_MANAGERS = ("simple", "fab")
ROOT = "/webhooks"
BASE = "http://localhost/pluginsv2"


class Site:
    """The pages under one auth manager; ``client(name)`` is the browser of a user who is logged in."""

    def __init__(self, auth: str) -> None:
        from airflow import plugins_manager
        from airflow.api_fastapi import app as api
        from airflow.providers.fab.www.app import create_app

        self.auth = auth
        api.purge_cached_app()
        api.create_auth_manager().init()
        plugins_manager.get_flask_plugins.cache_clear()
        self.manager = api.get_auth_manager()
        if auth == "fab":
            # Users of another database had the same ids.
            type(self.manager).cache.clear()
            # Airflow makes this one first: it is the application of the login.
            create_app(enable_plugins=False)
        self.app = create_app(enable_plugins=True)

    def user(self, name: str, role: str) -> Any:
        """A user with one of Airflow's own roles, or one of the test's."""
        if self.auth == "simple":
            from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

            return SimpleAuthManagerUser(username=name, role=role.upper() or None)
        with self.app.app_context():
            security = self.app.appbuilder.sm
            found = security.find_user(username=name)
            return found or security.add_user(
                name, name, name, f"{name}@example.com", security.find_role(role), password="a password"
            )

    def role(self, name: str, *permissions: tuple[str, str]) -> None:
        """A role of FabAuthManager's: (action, resource) pairs, such as ("can_read", "DAG:orders")."""
        with self.app.app_context():
            security = self.app.appbuilder.sm
            role = security.add_role(name)
            for action, resource in permissions:
                security.add_permission_to_role(role, security.create_permission(action, resource))

    def client(self, name: str | None = None, role: str = "Admin") -> Client:
        """A browser; of a stranger without a name."""
        with self.app.app_context():
            token = None if name is None else self.manager.generate_jwt(self.user(name, role))
        return Client(self.app, token)


class Client:
    """A browser that loads pages and sends their forms, CSRF token included."""

    def __init__(self, app: Any, token: str | None) -> None:
        self.browser = app.test_client()
        if token is not None:
            self.browser.set_cookie("_token", token)
        self._csrf_token: str | None = None

    def get(self, path: str, **more: Any) -> Any:
        return self.browser.get(f"{ROOT}{path}", base_url=BASE, **more)

    def json(self, path: str) -> Any:
        response = self.get(path, headers={"X-Requested-With": "fetch"})
        assert response.status_code == 200, response.text
        return response.json

    def post(self, path: str, data: Any = (), *, script: bool = False, **more: Any) -> Any:
        headers = {"X-Requested-With": "fetch"} if script else {}
        fields = MultiDict(data)
        fields["csrf_token"] = self.csrf_token()
        return self.browser.post(f"{ROOT}{path}", data=fields, base_url=BASE, headers=headers, **more)

    def csrf_token(self) -> str:
        """The one that stands in a page; "" for a user who gets no page of ours."""
        if self._csrf_token is None:
            found = re.search(r'name="csrf-token" content="([^"]+)"', self.get("/").text)
            self._csrf_token = found[1] if found else ""
        return self._csrf_token


@contextmanager
def site(auth: str) -> Iterator[Site]:
    """The pages under an auth manager, on the database that this process is connected to."""
    import os

    from airflow.api_fastapi import app as api

    from tests.infrastructure.airflow_processes import AUTH_MANAGERS as CLASSES

    os.environ["AIRFLOW__CORE__AUTH_MANAGER"] = CLASSES[auth]
    try:
        made = _fab_site() if auth == "fab" else Site(auth)
    finally:
        # What stores DAGs looks at the setting, and FAB's part of it wants the session for itself.
        del os.environ["AIRFLOW__CORE__AUTH_MANAGER"]
    try:
        yield made
    finally:
        api.purge_cached_app()


_fab_sites: dict[str, tuple[Site, Permissions]] = {}
"""By the URL of their database: FAB takes seconds to make its applications and to write their permissions."""


def _fab_site() -> Site:
    from airflow import settings
    from airflow.api_fastapi import app as api

    url = str(settings.engine.url)
    if url not in _fab_sites:
        made = Site("fab")
        _fab_sites[url] = made, Permissions.read()
        return made
    made, permissions = _fab_sites[url]
    permissions.write()
    api._AuthManagerState.instance = made.manager
    # Users of another database had the same ids.
    type(made.manager).cache.clear()
    return made


@dataclass(frozen=True)
class Permissions:
    """All rows of FAB's tables: what its applications write when they are made."""

    tables: Sequence[Table]
    rows: Mapping[str, list[dict[str, Any]]]

    @classmethod
    def read(cls) -> Permissions:
        from airflow import settings

        metadata = MetaData()
        with settings.engine.connect() as connection:
            metadata.reflect(connection, only=lambda name, _: name.startswith("ab_"))
            tables = metadata.sorted_tables
            rows = {
                it.name: [dict(row) for row in connection.execute(it.select()).mappings()] for it in tables
            }
        return cls(tables, rows)

    def write(self) -> None:
        """In place of what is in the tables."""
        from airflow import settings

        with settings.engine.begin() as connection:
            for table in reversed(self.tables):
                connection.execute(table.delete())
            for table in self.tables:
                if self.rows[table.name]:
                    connection.execute(table.insert(), self.rows[table.name])
