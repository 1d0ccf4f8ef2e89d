"""docker/kubernetes.yaml and the values in docker/README.md name what there is, and one another rightly."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from tests.infrastructure.environment import CHECKOUT

FOLDER = CHECKOUT / "docker"


@pytest.fixture(scope="module")
def objects() -> dict[tuple[str, str], Any]:
    """The objects by kind and name."""
    found = yaml.safe_load_all((FOLDER / "kubernetes.yaml").read_text())
    return {(each["kind"], each["metadata"]["name"]): each for each in found}


def container(objects, name: str) -> dict[str, Any]:
    pod = objects["Deployment", f"airflow-webhook-{name}"]["spec"]["template"]["spec"]
    (only,) = pod["containers"]
    return dict(only)


def test_both_run_and_are_checked_by_commands_that_airflow_has(objects, parser):
    gateway, dispatcher = container(objects, "gateway"), container(objects, "dispatcher")
    check = dispatcher["livenessProbe"]["exec"]["command"]
    for words in (gateway["args"], dispatcher["args"], check):
        assert words[0] == "airflow"
        assert parser.parse_args(words[1:]).func


@pytest.mark.parametrize("name", ["gateway", "dispatcher"])
def test_both_have_database_and_fernet_key_of_the_chart(objects, name):
    asked = {each["name"]: each["valueFrom"]["secretKeyRef"] for each in container(objects, name)["env"]}
    values = chart_values()
    assert asked == {
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": {
            "name": values["data"]["metadataSecretName"],
            "key": "connection",
        },
        "AIRFLOW__CORE__FERNET_KEY": {"name": values["fernetKeySecretName"], "key": "fernet-key"},
    }


def test_service_budget_and_ingress_lead_to_the_gateways(objects):
    labels = objects["Deployment", "airflow-webhook-gateway"]["spec"]["template"]["metadata"]["labels"]
    service = objects["Service", "airflow-webhook-gateway"]["spec"]
    budget = objects["PodDisruptionBudget", "airflow-webhook-gateway"]["spec"]
    (rule,) = objects["Ingress", "airflow-webhook-gateway"]["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    ports = {port["name"] for port in container(objects, "gateway")["ports"]}
    assert service["selector"] == budget["selector"]["matchLabels"] == labels
    assert service["ports"][0]["targetPort"] in ports
    assert path["backend"]["service"] == {"name": "airflow-webhook-gateway", "port": {"name": "http"}}


def chart_values() -> Any:
    (block,) = re.findall(r"```yaml\n# values\.yaml\n(.*?)```", (FOLDER / "README.md").read_text(), re.S)
    return yaml.safe_load(block)


def test_the_values_name_settings_that_there_are_and_the_image_of_the_file(objects):
    from inbound_webhooks.settings import option_descriptions

    values = chart_values()
    image = values["images"]["airflow"]
    assert set(values["config"]["inbound_webhooks"]) <= set(option_descriptions())
    for name in ("gateway", "dispatcher"):
        assert container(objects, name)["image"] == f"{image['repository']}:{image['tag']}"


def test_the_readme_names_every_variable_of_the_compose_file():
    used = set(re.findall(r"\$\{([A-Z_]+)[:}]", (FOLDER / "compose.yaml").read_text())) - {"HOSTNAME"}
    assert used
    named = set(re.findall(r"`([A-Z_]+)`", (FOLDER / "README.md").read_text()))
    assert used == named
