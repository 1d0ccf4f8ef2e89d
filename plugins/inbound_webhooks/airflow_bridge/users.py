"""Airflow's users, as FabAuthManager stores them; other auth managers keep no list of addresses."""

from __future__ import annotations

from typing import Any

from sqlalchemy import or_, select

from inbound_webhooks.storage.database import transaction

MAX_FOUND = 20


def stored_users(manager: Any, text: str) -> list[dict[str, str]] | None:
    """Active users whose name or address contains a text, by name; None where the auth manager stores none.

    Each has ``name``, the user name, ``full_name`` and ``email``.
    """
    if type(manager).__name__ != "FabAuthManager":
        return None
    from airflow.providers.fab.auth_manager.models import User

    model: Any = User
    columns = (model.username, model.first_name, model.last_name, model.email)
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    matches = or_(*(column.ilike(f"%{escaped}%", escape="\\") for column in columns))
    query = select(*columns).where(model.active, matches).order_by(model.username).limit(MAX_FOUND)
    with transaction() as connection:
        rows = connection.execute(query).all()
    return [
        {"name": name, "full_name": f"{first or ''} {last or ''}".strip(), "email": email or ""}
        for name, first, last, email in rows
    ]
