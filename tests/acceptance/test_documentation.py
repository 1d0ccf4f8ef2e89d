"""docs/quick-start.md, docs/definitions.md and docs/rest.md, lived through in an Airflow of their own."""

from __future__ import annotations

import hashlib
import hmac
import json
import shutil
from pathlib import Path

import pytest
import requests
import yaml

from tests.acceptance.payloads import FOLDER
from tests.acceptance.shell import Shell, block_with, commands
from tests.infrastructure.airflow_processes import ADMIN, PASSWORD, AirflowProcesses
from tests.infrastructure.environment import DAGS_FOLDER
from tests.infrastructure.pages import blocks, page, printed, section, typed

pytestmark = pytest.mark.long

QUICK_START = page("docs/quick-start.md")
DEFINITIONS = page("docs/definitions.md")
REST = page("docs/rest.md")
SECRET = "entered at GitHub"


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of DAGs: one of the quick start, one of this package, and one that takes anything."""
    root = tmp_path_factory.mktemp("repository")
    (root / "dags").mkdir()
    (script,) = blocks(QUICK_START, "python")
    (root / "dags" / "greet.py").write_text(script)
    for name in ("github_push_build.py", "event_log.py"):
        shutil.copy(DAGS_FOLDER / name, root / "dags")
    return root


@pytest.fixture(scope="module")
def airflow(start_airflow, repository) -> AirflowProcesses:
    secret = json.dumps({"conn_type": "generic", "password": SECRET})
    env = {"AIRFLOW_CONN_GITHUB_WEBHOOK": secret}
    made = start_airflow("sqlite", auth="fab", dags_folder=repository / "dags", env=env, warm_commands=True)
    for dag_id in ("greet", "github_push_build", "event_log"):
        made.wait_for_dag(dag_id)
    return made


@pytest.fixture(scope="module")
def shell(airflow, repository) -> Shell:
    user = {"AIRFLOW": airflow.url, "AIRFLOW_USER": ADMIN, "AIRFLOW_PASSWORD": PASSWORD}
    return Shell(airflow, repository, **user)


def alike(line: str, shown: str) -> bool:
    """Whether a line of JSON is the one that the page shows; ids differ, and … stands for anything."""
    made, meant = json.loads(line), json.loads(shown)
    free = {name for name, value in meant.items() if value == "…"} | {"delivery_id"}
    return list(made) == list(meant) and all(made[name] == meant[name] for name in meant.keys() - free)


def in_order(shown: list[str], lines: list[str]) -> bool:
    """Whether the lines that a page shows are among these, in their order; … stands for what is left out."""
    rest = iter(lines)
    return all(line in rest for line in shown if line.strip() != "…")


# --- the quick start ------------------------------------------------------------------------


def test_the_quick_start_gets_from_a_dag_to_a_run(airflow, shell):
    shell(commands(QUICK_START, "create hello"))
    tried = block_with(QUICK_START, "try hello")
    assert alike(shell(typed(tried)), printed(tried)[0])

    sent = block_with(QUICK_START, "url=")
    response = shell(typed(sent)).splitlines()[-1]
    assert alike(response, printed(sent)[0])
    run_id = f"webhook__{json.loads(response)['delivery_id']}"
    airflow.wait_for_run("greet", run_id)
    assert "Hello Ada! Hello Ada!" in airflow.task_log("greet", run_id, "greet")

    refused = block_with(QUICK_START, "times=11")
    given_url = commands(QUICK_START, "url=").splitlines()[0]
    lines = shell(f"{given_url}\n{typed(refused)}")
    assert alike(lines.partition("}")[0] + "}", printed(refused)[0])
    assert "refused" in lines.partition("}")[2]


# --- definitions ----------------------------------------------------------------------------


def definition(number: int) -> str:
    """The page's first or second file of webhooks."""
    return [block for block in blocks(DEFINITIONS, "yaml") if block.startswith("webhooks:")][number]


def push(url: str, ref: str) -> None:
    """What GitHub sends after a push."""
    event = json.loads((FOLDER / "github" / "push__new_branch.body").read_bytes()) | {"ref": ref}
    body = json.dumps(event).encode()
    signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    headers = {
        "Content-Type": "application/json",
        "X-GitHub-Event": "push",
        "X-GitHub-Delivery": ref,
        "X-Hub-Signature-256": f"sha256={signature}",
    }
    assert requests.post(url, body, headers=headers, timeout=60).json()["status"] == "accepted"


def test_the_pull_request_is_checked_imported_and_changed_by_the_evidence(shell, repository):
    file = repository / "dags" / "github.yaml"
    file.write_text(definition(0))
    (job,) = [block for block in blocks(DEFINITIONS, "yaml") if "jobs:" in block]
    steps = yaml.safe_load(job)["jobs"]["check"]["steps"]
    assert ": no errors." in shell(steps[-1]["run"])

    imports = block_with(section(DEFINITIONS, "Import it with the deployment"), "--dry-run")
    done = shell(typed(imports)).splitlines()
    assert in_order(printed(imports), done)
    for ref in ("refs/heads/main", "refs/heads/feature"):
        push(done[-1], ref)

    file.write_text(definition(1))
    tried = block_with(DEFINITIONS, "--against-last")
    judged = shell(typed(tried)).splitlines()
    assert judged[-1] == printed(tried)[-1]
    assert 'conf.ref: "refs/heads/main" → "main"' in judged[-2]
    shell(commands(section(DEFINITIONS, "Change it with a back-test"), "import dags"))

    exported = block_with(DEFINITIONS, "exported.yaml")
    assert shell(typed(exported)).splitlines() == printed(exported)


# --- REST -----------------------------------------------------------------------------------


def test_the_calls_of_the_rest_api_get_from_nothing_to_a_run(airflow, shell):
    block = block_with(REST, "auth/token")
    accepted, listed, judged, patched = shell(typed(block)).splitlines()
    assert alike(accepted, printed(block)[0])
    airflow.wait_for_run("event_log", f"webhook__{json.loads(accepted)['delivery_id']}")
    assert json.loads(listed)["deliveries"][0]["id"] == json.loads(accepted)["delivery_id"]
    assert json.loads(judged)["moves"] != []
    assert json.loads(patched)["max_per_second"] == 10
