"""References to secrets in definition files: Airflow connections, Airflow variables, the environment."""

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
"""The prefix of a secret in an export with secrets; files under version control must not contain it."""

EXPECTED = "it must be connection:ID, variable:NAME or env:NAME"


def check_reference(purpose: str, reference: object) -> str:
    """Check a reference's syntax and return it.

    :raises InvalidDefinition: it is invalid; the message omits it, since it may be the secret itself
    """
    if not isinstance(reference, str):
        raise InvalidDefinition("secrets", EXPECTED, purpose)
    if not reference.startswith(PLAIN) and not re.match(PATTERN, reference):
        raise InvalidDefinition("secrets", f"{EXPECTED}, not the secret itself", purpose)
    return reference


def resolve(purpose: str, reference: str) -> str:
    """The secret that a reference points to; for a connection, its password.

    :raises InvalidDefinition: there is no such connection, password or variable
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
