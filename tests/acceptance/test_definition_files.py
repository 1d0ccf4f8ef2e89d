"""A webhook in git: a pull request adds it, CI checks it, a script deploys it, a back-test judges changes."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.test_senders import GITHUB_SECRET, push
from tests.acceptance.webhooks import Webhook
from tests.infrastructure.airflow_processes import AirflowProcesses
from tests.infrastructure.environment import DAGS_FOLDER

pytestmark = pytest.mark.parametrize("airflow", ["sqlite"], indirect=True)

SHELL_SECONDS = 300
NO_DATABASE = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql+psycopg2://nobody@127.0.0.1:1/none"}
DEFINITION = """
webhooks:
  - name: from-git
    dag_id: github_push_build
    preset: github
    secrets:
      signing: env:SECRET_AT_GITHUB
    mapping:
      repository: ${Webhook::Body.repository.full_name}
      ref: ${Webhook::Body.ref}
      commit: ${Webhook::Body.after}
      event: ${Webhook::Headers.X-GitHub-Event}
      pusher: ${Webhook::Body.pusher.name}
"""
ONLY_MAIN = '    filter: body.ref == "refs/heads/main"\n'
DEPLOY = "airflow webhooks import dags --dry-run && airflow webhooks import dags"


class Repository:
    """A checkout with a DAG and, beside it, what a pull request has added; commands run there in a shell."""

    def __init__(self, folder: Path, airflow: AirflowProcesses) -> None:
        self._folder = folder
        path = f"{airflow.bin}:{Path(sys.executable).parent}:{airflow.environment['PATH']}"
        self._environment = airflow.environment | {"PATH": path}
        (folder / "dags").mkdir()
        shutil.copy(DAGS_FOLDER / "github_push_build.py", folder / "dags")

    def pull(self, definition: str) -> None:
        """What stands in the branch now."""
        (self._folder / "dags" / "webhooks.yaml").write_text(definition)

    def run(self, line: str, *, status: int = 0, **variables: str) -> str:
        """What a command prints; it must end with this status."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", line],
            cwd=self._folder,
            env=self._environment | variables,
            capture_output=True,
            text=True,
            timeout=SHELL_SECONDS,
            check=False,
        )
        assert done.returncode == status, f"{line}:\n{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture(scope="module")
def repository(airflow: AirflowProcesses, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    airflow.wait_for_dag("github_push_build")
    return Repository(tmp_path_factory.mktemp("repository"), airflow)


@pytest.fixture(scope="module")
def deployed(repository: Repository) -> Webhook:
    """The webhook, once the pull request was merged and deployed."""
    repository.pull(DEFINITION)
    printed = repository.run(DEPLOY, SECRET_AT_GITHUB=GITHUB_SECRET)
    assert printed.count("+ from-git (DAG github_push_build)") == 2
    url = repository.run("airflow webhooks url from-git").strip()
    return Webhook(url.split("/")[-2], "from-git", "github_push_build", True, url)


@pytest.fixture(scope="module")
def ran(airflow: AirflowProcesses, deployed: Webhook) -> str:
    """The id of a delivery of GitHub's whose run has succeeded."""
    response = push(deployed, delivery="the first from git")
    assert response.status_code == 202, response.text
    airflow.wait_for_run("github_push_build", f"webhook__{response.json()['delivery_id']}")
    return str(response.json()["delivery_id"])


def test_ci_passes_a_pull_request_that_fits_and_stops_one_that_does_not(repository):
    """Without a server and without a database."""
    repository.pull(DEFINITION.replace("github_push_build", "github_push_biuld"))
    output = repository.run("airflow webhooks check dags", status=1, **NO_DATABASE)
    assert "dags/webhooks.yaml:4: from-git: dag_id: no DAG file defines the DAG 'github_push_biuld'" in output
    repository.pull(DEFINITION)
    output = repository.run("airflow webhooks check dags", **NO_DATABASE)
    assert output == "Checked 1 webhook against 1 DAG: no errors.\n"


def test_a_second_deployment_changes_nothing(repository, deployed):
    assert repository.run("airflow webhooks import dags", SECRET_AT_GITHUB=GITHUB_SECRET) == "1 unchanged.\n"


def test_a_back_test_shows_what_a_change_would_do_and_the_deployment_does_it(repository, deployed, ran):
    repository.pull(DEFINITION + ONLY_MAIN)
    evidence = repository.run("airflow webhooks try from-git --against-last 10 --file dags/webhooks.yaml")
    assert "The last delivery would change: 1 accepted → filtered. Nothing was stored or run." in evidence
    assert ran in evidence
    assert "filter: nothing" in repository.run(DEPLOY, SECRET_AT_GITHUB=GITHUB_SECRET)
    filtered = push(deployed, delivery="the second from git")
    assert (filtered.status_code, filtered.json()["status"]) == (200, "filtered")
