"""A user without a request of theirs, as jobs need it that check permissions later.

FabAuthManager reads the user and their roles from the database, with a cache of half a minute.
SimpleAuthManager keeps a user's role in the token; its configuration has the current one.
Other auth managers may keep groups or expiring credentials in the token: they decide by those, and what they
no longer accept is refused.
"""

from __future__ import annotations

from typing import Any

from airflow.configuration import conf
from sqlalchemy.exc import SQLAlchemyError

from inbound_webhooks.errors import NotPermitted
from inbound_webhooks.monitoring.log_lines import get_logger

log = get_logger(__name__)

GONE = "The user no longer exists, is inactive, or cannot be checked without a request."


def restored_user(claims: dict[str, Any]) -> Any:
    """The user whose claims the auth manager made by ``serialize_user``.

    :raises NotPermitted: the user no longer exists or is inactive, or the auth manager cannot tell
    """
    manager = _auth_manager()
    try:
        return _as_configured(manager, manager.deserialize_user(claims))
    except (SQLAlchemyError, NotPermitted):
        raise
    except Exception as error:  # noqa: BLE001 - of any auth manager; without an answer there is no permission
        log.warning("user not restored action=user_not_restored kind=%s", type(error).__name__)
        raise NotPermitted(GONE) from None


def _auth_manager() -> Any:
    """The process's auth manager; a dispatcher of its own has none until this is called."""
    from airflow.api_fastapi.app import create_auth_manager, get_auth_manager

    try:
        return get_auth_manager()
    except RuntimeError:
        # Without its init(), which belongs to the api-server: it makes passwords and roles.
        return create_auth_manager()


def _as_configured(manager: Any, user: Any) -> Any:
    """A user of SimpleAuthManager with the role that the configuration has now."""
    from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager

    if not isinstance(manager, SimpleAuthManager) or conf.getboolean(
        "core", "simple_auth_manager_all_admins"
    ):
        return user
    found = next((known for known in manager.get_users() if known.username == user.username), None)
    if found is None:
        raise NotPermitted(GONE)
    return found
