"""Airflow's settings in tests: everything by environment variables, nothing of the person's own Airflow."""

from __future__ import annotations

import base64
import os
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
DAGS_FOLDER = CHECKOUT / "dags"

# Fixed, so that a failure can be looked at again with the same encrypted rows.
FERNET_KEY = base64.urlsafe_b64encode(b"a key for tests, of 32 bytes....").decode()


def airflow_variables(home: Path, database_url: str) -> dict[str, str]:
    """The variables that every Airflow of the tests needs."""
    return {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__API__SECRET_KEY": "a secret key for tests",
        "AIRFLOW__API_AUTH__JWT_SECRET": "a secret for tests, long enough for each algorithm of tokens....",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS_FOLDER),
        "AIRFLOW__CORE__FERNET_KEY": FERNET_KEY,
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(home / "plugins"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database_url,
    }


def process_environment(home: Path, database_url: str, **more: str) -> dict[str, str]:
    """The environment of an Airflow process: this one's without its Airflow settings and proxies."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    local = {"NO_PROXY": "*", "no_proxy": "*", "PYTHONUNBUFFERED": "1"}
    return inherited | local | airflow_variables(home, database_url) | more


def sqlite_url(path: Path) -> str:
    return f"sqlite:///{path}"
