"""The recipes of README.md, docs/presets.md and others, run in a shell as they stand there."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from tests.acceptance.payloads import FOLDER
from tests.acceptance.shell import Shell, commands
from tests.infrastructure.airflow_processes import AirflowProcesses
from tests.infrastructure.environment import CHECKOUT
from tests.infrastructure.pages import blocks, page

pytestmark = pytest.mark.parametrize("airflow", ["sqlite"], indirect=True)

SENDERS = page("docs/presets.md")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the person sits: the script of the page lies there."""
    here = tmp_path_factory.mktemp("recipes")
    (script,) = blocks(SENDERS, "python")
    (here / "nightly.py").write_text(script)
    return here


@pytest.fixture(scope="module")
def shell(airflow: AirflowProcesses, folder: Path) -> Shell:
    airflow.wait_for_dag("event_log")
    return Shell(airflow, folder, SLACK_SIGNING_SECRET="of a Slack app")


@pytest.fixture(scope="module")
def nightly(shell) -> None:
    shell(commands(SENDERS, "create nightly"))


def accepted(airflow: AirflowProcesses, response: str, dag_id: str = "event_log") -> dict:
    """The conf of the run that an answer promises."""
    accepted = json.loads(response)
    assert accepted["status"] == "accepted"
    return dict(airflow.wait_for_run(dag_id, f"webhook__{accepted['delivery_id']}")["conf"])


def test_the_first_webhook_of_the_readme_starts_a_run(airflow, shell):
    airflow.wait_for_dag("github_push_build")
    in_checkout = Shell(airflow, CHECKOUT)
    url = in_checkout(commands(page("README.md"), "create github-push"))
    conf = accepted(airflow, in_checkout(commands(page("README.md"), "curl")), "github_push_build")
    assert "/webhook/" in url
    assert set(conf) == {"repository", "ref", "commit", "event", "pusher", "commits"}


def test_the_recipe_for_github_takes_what_github_would_sign(airflow, shell):
    shell(commands(SENDERS, "create signed-pushes"))
    body = shlex.quote(str(FOLDER / "github" / "push__new_branch.body"))
    response = shell(
        f'signature=$(openssl dgst -sha256 -hmac "$(cat github.secret)" -r {body} | cut -d " " -f 1)\n'
        f'curl -sS -H "Content-Type: application/json" -H "X-GitHub-Event: push" --data-binary @{body} '
        '-H "X-Hub-Signature-256: sha256=$signature" "$(airflow webhooks url signed-pushes)"'
    )
    assert json.loads(response)["status"] == "accepted"


def test_the_recipe_for_stripe_ends_with_an_enabled_webhook(shell):
    shell(commands(SENDERS, "create payments"), input="whsec_0123456789abcdef\n")
    shown = json.loads(shell("airflow webhooks show payments -o json"))
    assert (shown["enabled"], shown["warnings"]) == (True, [])
    assert [held["purpose"] for held in shown["credentials"]] == ["signing", "url"]


def test_the_recipe_for_slack_makes_a_webhook(shell):
    shell(commands(SENDERS, "create chat"))
    shown = json.loads(shell("airflow webhooks show chat -o json"))
    assert (shown["handshake"], shown["warnings"]) == ("slack", [])


def test_the_script_in_python_is_accepted(airflow, shell, nightly):
    conf = accepted(airflow, shell(commands(SENDERS, "python nightly.py")))
    assert conf["webhook"]["body"] == {"type": "export.done", "rows": 1234}


def test_the_lines_with_curl_are_accepted(airflow, shell, nightly):
    conf = accepted(airflow, shell(commands(SENDERS, "body=", "curl")))
    assert conf["webhook"]["body"] == {"type": "export.done", "rows": 1234}


def test_the_scheme_with_a_time_makes_a_webhook(shell, nightly):
    shell(commands(SENDERS, "create hourly"))
    (scheme,) = json.loads(shell("airflow webhooks show hourly -o json"))["verification"]
    assert (scheme["signed"], scheme["tolerance_seconds"]) == ("{timestamp}.{body}", 300)


def test_an_answer_of_your_own_verifies_as_meta_asks(shell):
    shell(commands(page("docs/concepts.md"), "create meta"))
    url = 'curl -sS "$(airflow webhooks url meta)?hub.mode=subscribe&hub.challenge=1158201444"'
    assert shell(url) == "1158201444"


def test_the_recipe_for_mail_names_the_recipients(shell):
    _pip, _, create = commands(page("docs/mail.md"), "create shop-orders").partition("\n")
    shell(create)
    shown = json.loads(shell("airflow webhooks show shop-orders -o json"))
    assert (shown["notify_success"], len(shown["notify_failure"])) == (["team@example.com"], 2)
    assert shown["warnings"] == []


def test_encrypting_again_takes_our_tokens_along(shell, nightly):
    before = shell("airflow webhooks url nightly")
    shell(commands(page("docs/operating.md"), "rotate-fernet-key"))
    assert shell("airflow webhooks url nightly") == before
