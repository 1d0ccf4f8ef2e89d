"""From a POST to the mail about its run: a real scheduler, a dispatcher of its own, a real SMTP server."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import requests

from tests.acceptance.webhooks import create, deliver
from tests.infrastructure.airflow_processes import AirflowProcesses
from tests.infrastructure.mail_server import FROM, MailServer, html_of

pytestmark = pytest.mark.long

MAIL_SECONDS = 120

DAGS = """
from airflow.sdk import dag, task


@dag(schedule=None, catchup=False)
def fine():
    @task
    def work():
        pass

    work()


@dag(schedule=None, catchup=False)
def broken():
    @task
    def before():
        pass

    @task
    def breaks():
        raise RuntimeError("on purpose")

    before() >> breaks()


fine()
broken()
"""


@pytest.fixture(scope="module")
def mailing(start_airflow, mail_server, tmp_path_factory) -> AirflowProcesses:
    """An Airflow with a dispatcher of its own; the connection to the mail server is in the database alone."""
    dags_folder: Path = tmp_path_factory.mktemp("dags")
    (dags_folder / "dags.py").write_text(DAGS)
    variables = {
        "AIRFLOW__INBOUND_WEBHOOKS__DISPATCHER_ENABLED": "False",
        "AIRFLOW__INBOUND_WEBHOOKS__OUTCOME_POLL_SECONDS": "0.5",
    }
    airflow: AirflowProcesses = start_airflow(
        "postgresql", dags_folder=dags_folder, env=variables, warm_commands=True
    )
    added = airflow.airflow("connections", "add", "smtp_default", "--conn-json", mail_server.connection())
    assert added.returncode == 0, added.stderr
    airflow.launch("dispatcher", "webhooks", "dispatcher")
    for dag_id in ("fine", "broken"):
        airflow.wait_for_dag(dag_id)
    return airflow


@pytest.fixture(scope="module")
def delivered(mailing, mail_server) -> dict[str, str]:
    """Subject's state -> the id of the delivery; every mail has arrived."""
    notify = ("--notify-success", "good@example.com", "--notify-failure", "bad@example.com")
    ids = {
        state: deliver(create(mailing, f"runs <b>{dag_id}</b>", "--dag-id", dag_id, *notify), b"{}")
        for state, dag_id in {"succeeded": "fine", "failed": "broken"}.items()
    }
    mailing.wait_for(lambda: len(mail_server.messages) >= 2, what="two mails", seconds=MAIL_SECONDS)
    return ids


def mail_about(mail_server: MailServer, delivery_id: str):
    (message,) = [each for each in mail_server.messages if delivery_id in html_of(each)]
    return message


@pytest.mark.parametrize(("state", "to"), [("succeeded", "good@example.com"), ("failed", "bad@example.com")])
def test_each_outcome_is_mailed_once_to_its_recipients(delivered, mail_server, state, to):
    message = mail_about(mail_server, delivered[state])
    assert (message["To"], message["From"]) == (to, FROM)
    assert message["Subject"].endswith(state)
    assert len(mail_server.messages) == 2


def test_the_links_of_a_mail_lead_to_the_run_and_to_the_log_of_the_task_that_failed(
    mailing, delivered, mail_server
):
    run_id = f"webhook__{delivered['failed']}"
    links = re.findall(r'href="([^"]+)"', html_of(mail_about(mail_server, delivered["failed"])))
    pages = [link for link in links if "/dags/" in link]
    assert sorted(pages) == [
        f"{mailing.url}/dags/broken/runs/{run_id}",
        f"{mailing.url}/dags/broken/runs/{run_id}/tasks/breaks?try_number=1",
    ]
    assert {requests.get(page, timeout=30).status_code for page in pages} == {200}
    assert mailing.dag_run("broken", run_id)["state"] == "failed"
    assert "Task failed with exception" in mailing.task_log("broken", run_id, "breaks")


def test_a_name_with_markup_stays_inert(delivered, mail_server):
    text = html_of(mail_about(mail_server, delivered["failed"]))
    assert "runs &lt;b&gt;broken&lt;/b&gt;" in text
    # The target of the delivery is in bold.
    assert "runs <b>" not in text


def test_the_command_shows_request_run_outcome_and_mails(mailing, delivered):
    done = mailing.airflow("webhooks", "delivery", delivered["failed"], "-o", "json")
    story = json.loads(done.stdout)
    assert (story["state"], story["request"]["body"]) == ("failed", "{}")
    assert [task["task_id"] for task in story["run"]["failed_tasks"]] == ["breaks"]
    assert [(mail["recipient"], mail["state"]) for mail in story["mails"]] == [("bad@example.com", "sent")]


def test_a_cleared_run_that_succeeds_is_mailed_too(mailing, delivered, mail_server):
    """Marked by hand, which ends it anew."""
    run_id = f"webhook__{delivered['failed']}"
    response = requests.patch(
        f"{mailing.url}/api/v2/dags/broken/dagRuns/{run_id}",
        json={"state": "success"},
        headers={"Authorization": f"Bearer {mailing.token()}"},
        timeout=30,
    )
    assert response.status_code == 200, response.text
    mailing.wait_for(lambda: len(mail_server.messages) == 3, what="the mail", seconds=MAIL_SECONDS)
    message = mail_server.messages[-1]
    assert (message["To"], message["Subject"].endswith("succeeded")) == ("good@example.com", True)


def test_health_needs_no_login(mailing, delivered):
    response = requests.get(f"{mailing.url}/webhooks/api/health", timeout=30)
    assert (response.status_code, response.json()["status"], response.json()["backlog"]) == (200, "ok", 0)


def test_a_new_version_of_a_dag_that_breaks_a_mapping_is_mailed_once(mailing, delivered, mail_server):
    file = Path(mailing.environment["AIRFLOW__CORE__DAGS_FOLDER"]) / "dags.py"
    new_params = 'params={"customer": Param(type="string")})\ndef fine'
    changed = DAGS.replace("import dag, task", "import Param, dag, task")
    file.write_text(changed.replace(")\ndef fine", f", {new_params}"))

    def about_it():
        return [one for one in mail_server.messages if one["Subject"].endswith("no longer fits Dag fine")]

    mailing.wait_for(about_it, what="the mail", seconds=2 * MAIL_SECONDS)
    (message,) = about_it()
    assert message["To"] == "bad@example.com"
    assert "<b>customer</b> has no default and no expression" in html_of(message)
    shown = json.loads(mailing.airflow("webhooks", "show", "runs <b>fine</b>", "-o", "json").stdout)
    assert "customer has no default" in json.dumps(shown)
