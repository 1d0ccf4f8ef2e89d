"""Where a secret of a definition file stands: an Airflow connection, a variable, or the environment."""

from __future__ import annotations

import os
import re
from collections.abc import Callable

from airflow.exceptions import AirflowNotFoundException
from airflow.models import Connection, Variable

from inbound_webhooks.errors import InvalidDefinition

KINDS = ("connection", "variable", "env")
PATTERN = rf"^({'|'.join(KINDS)}):\S+$"
PLAIN = "plain:"
"""What a secret begins with in an export that was asked for them; no file for git has it."""

EXPECTED = "it wants connection:ID, variable:NAME or env:NAME"


def check_reference(purpose: str, reference: object) -> str:
    """A reference as it is, wherever it leads.

    :raises InvalidDefinition: it is none; what it is instead is not shown, for it may be the secret
    """
    if not isinstance(reference, str):
        raise InvalidDefinition("secrets", EXPECTED, purpose)
    if not reference.startswith(PLAIN) and not re.match(PATTERN, reference):
        raise InvalidDefinition("secrets", f"{EXPECTED}, never the secret itself", purpose)
    return reference


def resolve(purpose: str, reference: str) -> str:
    """The secret that a reference leads to; of a connection that is its password.

    :raises InvalidDefinition: nothing is there
    """
    kind, _, name = reference.partition(":")
    value = _SOURCES[kind](name)
    if not value:
        where = {"connection": "Airflow connection with a password", "variable": "Airflow variable"}
        raise InvalidDefinition("secrets", f"there is no {where.get(kind, 'variable')} {name!r}", purpose)
    return value.strip("\r\n")


def _password(conn_id: str) -> str | None:
    try:
        password: str | None = Connection.get_connection_from_secrets(conn_id).password
    except AirflowNotFoundException:
        return None
    return password


def _variable(key: str) -> str | None:
    value: str | None = Variable.get(key, default_var=None)
    return value


_SOURCES: dict[str, Callable[[str], str | None]] = {
    "connection": _password,
    "variable": _variable,
    "env": os.environ.get,
    "plain": str,
}
