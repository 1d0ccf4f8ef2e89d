"""What the roles of FabAuthManager are granted, and which of them cannot find the pages."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from inbound_webhooks.airflow_bridge.fab_roles import PLUGINS, READ, roles_without_plugins
from inbound_webhooks.errors import DatabaseUnavailable, Problem
from inbound_webhooks.monitoring.clock import utc_now
from inbound_webhooks.monitoring.log_lines import get_logger
from inbound_webhooks.storage.database import transaction
from inbound_webhooks.storage.role_grants import granted_roles, remember_grant
from inbound_webhooks.webhooks.access import ACTIONS, VIEW

log = get_logger(__name__)

GRANTED: dict[str, tuple[str, ...]] = {
    "Viewer": ("can_read",),
    "User": ACTIONS,
    "Op": ACTIONS,
    "Admin": ACTIONS,
}
"""Permissions that Airflow's built-in roles get at first; administrators may remove them."""


def create_permissions(security_manager: Any, *, grant_plugins: bool) -> None:
    """Create FabAuthManager's permissions on the view, and grant new ones to Airflow's built-in roles.

    Existing permissions stay unchanged, since an administrator may have revoked them from a role. Other
    security managers have no such permissions.

    :param grant_plugins: whether these roles also get the permission without which Airflow shows no page
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
    if grant_plugins:
        _grant_plugins_once(security_manager)


def _grant_plugins_once(security_manager: Any) -> None:
    """Let the built-in roles that may see webhooks read :data:`PLUGINS`, each role once for ever.

    The permission on our own view cannot tell whether an administrator revoked this one, so our table does.
    """
    try:
        with transaction() as connection:
            done = granted_roles(connection)
        for role_name in sorted(GRANTED.keys() - done):
            role = security_manager.find_role(role_name)
            if role is not None and _may_see_webhooks(role):
                permission = security_manager.create_permission(READ, PLUGINS)
                security_manager.add_permission_to_role(role, permission)
                _remember(role_name)
    except DatabaseUnavailable as error:
        # The tables are not migrated, perhaps: the pages say so themselves, and the next start grants it.
        log.warning("roles not granted action=roles_not_granted: %s", error.message)


def _remember(role_name: str) -> None:
    # Afterwards: if the process ends in between, the next start grants it again, which changes nothing.
    try:
        with transaction() as connection:
            remember_grant(connection, role_name, utc_now())
    except IntegrityError:
        log.debug("role granted by another process action=role_granted_elsewhere role=%s", role_name)


def _may_see_webhooks(role: Any) -> bool:
    return any((held.action.name, held.resource.name) == (READ, VIEW) for held in role.permissions)


def role_problems(connection: Connection) -> list[Problem]:
    """A hint that names FabAuthManager's roles whose users may see webhooks but find no entry to them."""
    lacking = roles_without_plugins(connection, VIEW)
    if not lacking:
        return []
    names = ", ".join(lacking)
    sentence = (
        f"Airflow shows no entry for webhooks to users who have only these roles: {names}. "
        f"Grant the roles {READ} on {PLUGINS}."
    )
    return [Problem(sentence, code="roles-lack-plugins", severity="hint")]
