"""docker/compose.yaml as Compose itself reads it: valid, complete, with commands and settings that exist."""

from __future__ import annotations

import configparser
import shlex
import shutil
import subprocess
from typing import Any

import pytest
import yaml

from tests.infrastructure.environment import CHECKOUT

FOLDER = CHECKOUT / "docker"
SERVICES = {
    "postgres", "redis", "mail", "init", "api-server", "scheduler", "dag-processor", "triggerer",
    "worker", "dispatcher", "gateway-1", "gateway-2", "nginx",
}  # fmt: skip
OF_AIRFLOW = SERVICES - {"postgres", "redis", "mail", "nginx"}
EXPANDED = "AIRFLOW__INBOUND_WEBHOOKS__"


def compose_command() -> list[str]:
    """`docker compose`, or Debian's docker-compose; neither needs a daemon for this."""
    docker = shutil.which("docker")
    if docker and subprocess.run([docker, "compose", "version"], capture_output=True).returncode == 0:
        return [docker, "compose"]
    program = shutil.which("docker-compose")
    if program is None:
        raise FileNotFoundError("docker compose is missing: make system, or install docker-compose")
    return [program]


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    """The file with everything filled in, as `docker compose config` prints it."""
    command = [*compose_command(), "-f", str(FOLDER / "compose.yaml"), "config"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = yaml.safe_load(done.stdout)
    return found


def arguments(service: dict[str, Any]) -> list[str]:
    command = service.get("command") or []
    return shlex.split(command) if isinstance(command, str) else list(command)


def test_the_file_is_valid_and_has_every_service(config):
    assert set(config["services"]) == SERVICES


def test_every_service_that_keeps_running_has_a_health_check(config):
    without = [name for name, service in config["services"].items() if "healthcheck" not in service]
    assert without == ["init"]


def test_everything_of_airflow_waits_for_the_tables_and_the_keys(config):
    for name in OF_AIRFLOW - {"init"}:
        condition = config["services"][name]["depends_on"]["init"]["condition"]
        assert condition == "service_completed_successfully", name


@pytest.mark.parametrize("name", sorted(OF_AIRFLOW - {"init"}))
def test_a_service_runs_a_command_that_airflow_has(config, parser, name):
    assert parser.parse_args(arguments(config["services"][name])).func


@pytest.mark.parametrize("name", ["dispatcher", "dag-processor", "triggerer"])
def test_a_health_check_runs_a_command_that_airflow_has(config, parser, name):
    kind, *test = config["services"][name]["healthcheck"]["test"]
    words = shlex.split(test[0]) if kind == "CMD-SHELL" else test
    assert words[0] == "airflow"
    assert parser.parse_args(words[1:]).func


def test_every_setting_of_ours_is_one_that_there_is(config):
    from inbound_webhooks.settings import option_descriptions

    environment = config["services"]["gateway-1"]["environment"]
    ours = {name.removeprefix(EXPANDED).lower() for name in environment if name.startswith(EXPANDED)}
    assert ours
    assert ours <= set(option_descriptions())


def test_every_command_that_prints_a_secret_is_one_that_airflow_runs(config):
    from airflow.configuration import conf

    environment = config["services"]["scheduler"]["environment"]
    commands = {name.split("__")[1:] and name for name in environment if name.endswith("_CMD")}
    asked = {f"AIRFLOW__{section}__{key}_CMD".upper() for section, key in conf.sensitive_config_values}
    assert len(commands) == 3
    assert commands <= asked


def test_no_key_stands_in_the_file(config):
    secret = ("FERNET_KEY", "JWT_SECRET", "SECRET_KEY")
    for service in config["services"].values():
        assert [name for name in service.get("environment") or {} if name.endswith(secret)] == []


def test_the_gateways_trust_nginx_alone(config):
    address = config["services"]["nginx"]["networks"]["edge"]["ipv4_address"]
    for name in ("gateway-1", "gateway-2"):
        trusted = config["services"][name]["environment"][f"{EXPANDED}TRUSTED_PROXIES"]
        assert trusted == f"{address}/32"


def test_senders_reach_nginx_alone(config):
    """Everything else that is published is published to this machine alone."""
    published = {name: service["ports"] for name, service in config["services"].items() if "ports" in service}
    assert set(published) == {"nginx", "api-server", "mail"}
    for name in ("api-server", "mail"):
        assert "127.0.0.1" in str(published[name])


def test_the_image_has_what_the_package_asks_for_and_the_airflow_of_the_lock():
    packages = configparser.ConfigParser()
    packages.read(CHECKOUT / "setup.cfg")
    extras = set(packages["options.extras_require"])
    dockerfile = (FOLDER / "Dockerfile").read_text()
    asked = dockerfile.partition("inbound-webhooks[")[2].partition("]")[0].split(",")
    assert set(asked) <= extras
    locked = (CHECKOUT / "constraints.txt").read_text()
    version = dockerfile.partition("ARG AIRFLOW_VERSION=")[2].split()[0]
    assert f"apache-airflow=={version}\n" in locked
    assert f"${{AIRFLOW_VERSION:-{version}}}" in (FOLDER / "compose.yaml").read_text()
    for source in ("pyproject.toml", "setup.cfg", "README.md", "plugins", "dags", "docker/init.sh"):
        assert source in dockerfile
        assert (CHECKOUT / source).exists()
        assert f"!{source}\n" in (FOLDER / "Dockerfile.dockerignore").read_text()
