"""Roles of FabAuthManager, read from its tables: commands have no security manager that could be asked."""

from __future__ import annotations

from airflow.configuration import conf
from sqlalchemy import Connection, select

PLUGINS = "Plugins"
"""The view whose permission Airflow requires before it names any plugin to its interface."""

READ = "can_read"


def has_roles(auth_manager_class: type) -> bool:
    """Whether an auth manager is FabAuthManager, or derived from it."""
    return any(base.__name__ == "FabAuthManager" for base in auth_manager_class.__mro__)


def configured_auth_manager() -> type:
    """The class of Airflow's auth manager; there is no instance outside of the api-server."""
    found: type = conf.getimport("core", "auth_manager")
    return found


def roles_without_plugins(connection: Connection, view: str) -> list[str]:
    """Names of the roles that may read a view but not :data:`PLUGINS`, sorted."""
    return sorted(_readers_of(connection, view) - _readers_of(connection, PLUGINS))


def _readers_of(connection: Connection, view: str) -> set[str]:
    from airflow.providers.fab.auth_manager.models import (
        Action,
        Permission,
        Resource,
        Role,
        assoc_permission_role,
    )

    held = assoc_permission_role.c
    query = (
        select(Role.name)
        .join(assoc_permission_role, held.role_id == Role.id)
        .join(Permission, Permission.id == held.permission_view_id)
        .join(Action, Action.id == Permission.action_id)
        .join(Resource, Resource.id == Permission.resource_id)
        .where(Action.name == READ, Resource.name == view)
    )
    return set(connection.scalars(query))
