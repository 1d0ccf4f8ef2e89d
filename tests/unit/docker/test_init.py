"""What the container does that runs before all others."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.infrastructure.environment import CHECKOUT

KEYS = ("fernet_key", "jwt_secret", "secret_key")
AIRFLOW = """#!/bin/sh
echo "$@" >>"$CALLS"
"""


@pytest.fixture
def init(tmp_path: Path):
    """A function that runs it with an `airflow` that only notes how it was called; gives the calls."""
    programs, keys, calls = tmp_path / "bin", tmp_path / "keys", tmp_path / "calls"
    programs.mkdir()
    keys.mkdir()
    (programs / "airflow").write_text(AIRFLOW)
    (programs / "airflow").chmod(0o755)
    (programs / "python").symlink_to(sys.executable)
    variables = {
        **os.environ,
        "PATH": f"{programs}:{os.environ['PATH']}",
        "KEYS": str(keys),
        "CALLS": str(calls),
        "ADMIN_USER": "ada",
        "ADMIN_PASSWORD": "a password",
    }

    def run() -> str:
        calls.unlink(missing_ok=True)
        subprocess.run([CHECKOUT / "docker" / "init.sh"], env=variables, check=True, timeout=60)
        return calls.read_text()

    run.keys = keys  # type: ignore[attr-defined]
    return run


def test_keys_are_made_that_airflow_can_use_and_only_their_owner_can_read(init):
    from cryptography.fernet import Fernet

    init()
    made = {name: (init.keys / name).read_text().strip() for name in KEYS}
    Fernet(made["fernet_key"])
    assert len(set(made.values())) == 3
    assert min(map(len, made.values())) >= 44
    modes = {stat.S_IMODE((init.keys / name).stat().st_mode) for name in KEYS}
    assert modes == {0o600}


def test_keys_that_are_there_stay(init):
    init()
    before = {name: (init.keys / name).read_text() for name in KEYS}
    init()
    assert {path.name: path.read_text() for path in init.keys.iterdir()} == before


def test_tables_and_the_first_user_are_made(init, parser):
    migrate, create, *rest = init().splitlines()
    assert (migrate, rest) == ("db migrate", [])
    assert create.startswith("users create --username ada --password a password --role Admin")
