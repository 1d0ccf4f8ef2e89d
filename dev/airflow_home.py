"""The folder .airflow/ with the local Airflow's settings, keys, database and logs."""

from __future__ import annotations

import base64
import configparser
import fcntl
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
SECRETS: dict[tuple[str, str], Callable[[], str]] = {
    ("core", "fernet_key"): lambda: base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
    ("api", "secret_key"): lambda: secrets.token_urlsafe(32),
    ("api_auth", "jwt_secret"): lambda: secrets.token_urlsafe(64),
}


class InUseError(Exception):
    """Another process is running the Airflow of this folder."""


@dataclass(frozen=True)
class AirflowHome:
    """Paths below the folder, and the environment of the processes that use it."""

    path: Path
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def user_marker(self) -> Path:
        return self.path / "admin.created"

    def prepare(self) -> None:
        """Create the folder and its airflow.cfg; existing keys and manual changes are kept."""
        self.logs.mkdir(parents=True, exist_ok=True)
        self.path.chmod(0o700)
        config = configparser.ConfigParser(interpolation=None)
        config.read(self.path / "airflow.cfg")
        for (section, option), generate in SECRETS.items():
            if not config.get(section, option, fallback=""):
                _set(config, section, option, generate())
        for (section, option), value in self._settings().items():
            _set(config, section, option, value)
        with _private_file(self.path / "airflow.cfg").open("w") as file:
            config.write(file)

    def environment(self) -> dict[str, str]:
        """The environment of this Airflow's processes: airflow.cfg overrides variables of the shell."""
        options = (*SECRETS, *self._settings())
        decided = {f"AIRFLOW__{section}__{option}".upper() for section, option in options}
        inherited = {name: value for name, value in os.environ.items() if name not in decided}
        no_proxy = ",".join(filter(None, [os.environ.get("NO_PROXY"), "127.0.0.1", "localhost"]))
        return inherited | {
            "AIRFLOW_HOME": str(self.path),
            "NO_PROXY": no_proxy,
            "no_proxy": no_proxy,
            "PYTHONUNBUFFERED": "1",
        }

    def password(self) -> str:
        """The password of the user admin, generated at the first start."""
        file = self.path / "admin.password"
        if not file.exists():
            _private_file(file).write_text(secrets.token_urlsafe(12))
        return file.read_text().strip()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the folder against other starts while this process lives; raises InUseError."""
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / "lock").open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InUseError from None
            yield

    def _settings(self) -> dict[tuple[str, str], str]:
        return {
            ("core", "auth_manager"): "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager",
            ("core", "dags_folder"): str(CHECKOUT / "dags"),
            ("core", "dags_are_paused_at_creation"): "False",
            ("core", "executor"): "LocalExecutor",
            ("core", "execution_api_server_url"): f"{self.url}/execution/",
            ("core", "load_examples"): "False",
            ("core", "parallelism"): "4",
            ("core", "plugins_folder"): str(self.path / "plugins"),
            ("api", "base_url"): self.url,
            ("database", "sql_alchemy_conn"): f"sqlite:///{self.path}/airflow.db",
            ("logging", "base_log_folder"): str(self.logs),
        }


def _set(config: configparser.ConfigParser, section: str, option: str, value: str) -> None:
    if not config.has_section(section):
        config.add_section(section)
    config.set(section, option, value.replace("%", "%%"))


def _private_file(path: Path) -> Path:
    """The path, created so that only its owner can read the file."""
    path.touch(mode=0o600)
    path.chmod(0o600)
    return path
