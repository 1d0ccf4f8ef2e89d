"""The README's recipes for senders, run in a shell as they stand there."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.end_to_end.payloads import FOLDER
from tests.infrastructure.airflow_processes import AirflowProcesses
from tests.infrastructure.environment import CHECKOUT

pytestmark = pytest.mark.parametrize("airflow", ["sqlite"], indirect=True)

SHELL_SECONDS = 300
SENDERS = (CHECKOUT / "README.md").read_text().split("\n## Senders\n")[1].split("\n## ")[0]


def blocks(language: str) -> list[str]:
    """The fenced blocks of the section, without their fences."""
    return re.findall(rf"^```{language}\n(.*?)^```$", SENDERS, re.MULTILINE | re.DOTALL)


def commands(*words: str) -> str:
    """What a person types of the one block that holds all of these words."""
    (block,) = [block for block in blocks("console") if all(word in block for word in words)]
    typed = re.findall(r"^\$ (.*(?:\n[ ]+.*)*)", block, re.MULTILINE)
    return "\n".join(typed)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the person sits: the script of the README lies there."""
    here = tmp_path_factory.mktemp("recipes")
    (script,) = blocks("python")
    (here / "nightly.py").write_text(script)
    return here


@pytest.fixture(scope="module")
def shell(airflow: AirflowProcesses, folder: Path):
    """Run lines in a shell; they must succeed. Returns what went to standard output."""
    airflow.wait_for_dag("event_log")
    path = f"{Path(sys.executable).parent}:{airflow.environment['PATH']}"
    environment = airflow.environment | {"PATH": path, "SLACK_SIGNING_SECRET": "of a Slack app"}

    def run(lines: str, *, input: str = "") -> str:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", lines],
            cwd=folder,
            env=environment,
            input=input,
            capture_output=True,
            text=True,
            timeout=SHELL_SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{lines}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    return run


@pytest.fixture(scope="module")
def nightly(shell) -> None:
    shell(commands("create nightly"))


def accepted(airflow: AirflowProcesses, answer: str) -> dict:
    """The conf of the run that an answer promises."""
    told = json.loads(answer)
    assert told["status"] == "accepted"
    return dict(airflow.wait_for_run("event_log", f"webhook__{told['delivery_id']}")["conf"])


def test_the_recipe_for_github_takes_what_github_would_sign(airflow, shell):
    shell(commands("create signed-pushes"))
    body = shlex.quote(str(FOLDER / "github" / "push__new_branch.body"))
    answer = shell(
        f'signature=$(openssl dgst -sha256 -hmac "$(cat github.secret)" -r {body} | cut -d " " -f 1)\n'
        f'curl -sS -H "Content-Type: application/json" -H "X-GitHub-Event: push" --data-binary @{body} '
        '-H "X-Hub-Signature-256: sha256=$signature" "$(airflow webhooks url signed-pushes)"'
    )
    assert json.loads(answer)["status"] == "accepted"


def test_the_recipe_for_stripe_ends_with_an_enabled_webhook(shell):
    shell(commands("create payments"), input="whsec_0123456789abcdef\n")
    shown = json.loads(shell("airflow webhooks show payments -o json"))
    assert (shown["enabled"], shown["warnings"]) == (True, [])
    assert [held["purpose"] for held in shown["credentials"]] == ["signing", "url"]


def test_the_recipe_for_slack_makes_a_webhook(shell):
    shell(commands("create chat"))
    shown = json.loads(shell("airflow webhooks show chat -o json"))
    assert (shown["handshake"], shown["warnings"]) == ("slack", [])


def test_the_script_in_python_is_accepted(airflow, shell, nightly):
    conf = accepted(airflow, shell(commands("python nightly.py")))
    assert conf["webhook"]["body"] == {"type": "export.done", "rows": 1234}


def test_the_lines_with_curl_are_accepted(airflow, shell, nightly):
    conf = accepted(airflow, shell(commands("body=", "curl")))
    assert conf["webhook"]["body"] == {"type": "export.done", "rows": 1234}


def test_the_proof_with_a_time_makes_a_webhook(shell, nightly):
    shell(commands("create hourly"))
    (proof,) = json.loads(shell("airflow webhooks show hourly -o json"))["proofs"]
    assert (proof["signed"], proof["tolerance_seconds"]) == ("{timestamp}.{body}", 300)
