"""Senders that sign, from `airflow webhooks create --preset …` to the run that has succeeded."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.acceptance.database import ask, everything
from tests.acceptance.payloads import body_of, headers_of
from tests.acceptance.webhooks import GITHUB_MAPPING, Webhook, create, maps, post
from tests.infrastructure.airflow_processes import AirflowProcesses

PUSH = "github/push__new_branch"
GITHUB_SECRET = "a secret that only GitHub and Airflow know"
# await sign(GITHUB_SECRET, body) of GitHub's own @octokit/webhooks-methods 6.0.0, over PUSH's body.
GITHUB_SIGNATURE = "sha256=6a88ddc0059e8ca000095f6641d5289a3bc23ae1512949cf402864f1b53d1d57"

INVOICE = "stripe/invoice.paid__manual"
STRIPE_SECRET = "whsec_a_secret_that_only_stripe_and_airflow_know"
# stripe.webhooks.generateTestHeaderString({payload, secret, timestamp: 1680641304}) of Stripe's own
# stripe 23.1.0 for Node.js, over INVOICE's body.
STRIPE_SIGNATURE = (
    "t=1680641304,v1=1b8d6f7477dab7f4ef20b69e8aa214db4d8e8da8378d7b17afa9e6077b1e76cf"  # 2023-04-04
)

REJECTIONS_SECONDS = 30


@pytest.fixture(scope="module")
def github(airflow: AirflowProcesses, tmp_path_factory: pytest.TempPathFactory) -> Webhook:
    airflow.wait_for_dag("github_push_build")
    arguments = ("--dag-id", "github_push_build", "--preset", "github", *maps(GITHUB_MAPPING))
    secret = secret_file(tmp_path_factory.mktemp("github"), GITHUB_SECRET)
    return create(airflow, "signed pushes", *arguments, "--secret", secret)


@pytest.fixture(scope="module")
def stripe(airflow: AirflowProcesses, tmp_path_factory: pytest.TempPathFactory) -> Webhook:
    secret = secret_file(tmp_path_factory.mktemp("stripe"), STRIPE_SECRET)
    return create(airflow, "invoices", "--dag-id", "event_log", "--preset", "stripe", "--secret", secret)


@pytest.fixture(scope="module")
def pushed(github: Webhook):
    """The answer to the push, the first time."""
    return push(github, delivery="the first")


def secret_file(folder: Path, secret: str) -> str:
    """``@FILE`` with the secret on a line of its own."""
    (folder / "secret").write_text(f"{secret}\n")
    return f"@{folder / 'secret'}"


def push(webhook: Webhook, *, delivery: str, body: bytes = body_of(PUSH), signature: str = GITHUB_SIGNATURE):
    """POST as GitHub does."""
    headers = {"X-GitHub-Delivery": delivery, "X-Hub-Signature-256": signature}
    return post(webhook, body, headers_of(PUSH) | headers)


def runs_of(airflow: AirflowProcesses, webhook: Webhook) -> set[str]:
    """The ids of the runs of a webhook's deliveries."""
    rows = ask(airflow, f"SELECT id FROM inbound_webhook_delivery WHERE webhook_id = '{webhook.id}'")
    wanted = {f"webhook__{delivery_id}" for (delivery_id,) in rows}
    return {run["dag_run_id"] for run in airflow.dag_runs(webhook.dag_id)} & wanted


def shown(airflow: AirflowProcesses, webhook: Webhook) -> dict:
    done = airflow.airflow("webhooks", "show", webhook.name, "-o", "json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def rejection(airflow: AirflowProcesses, webhook: Webhook) -> dict:
    """The newest rejection in `show`; they are written within a second."""
    give_up_at = time.monotonic() + REJECTIONS_SECONDS
    while not (found := shown(airflow, webhook)["rejections"]):
        assert time.monotonic() < give_up_at, "no rejection is shown"
    return found[0]


def test_a_push_that_github_signed_becomes_a_run_with_its_conf(airflow, pushed):
    assert (pushed.status_code, pushed.json()["status"]) == (202, "accepted")
    run = airflow.wait_for_run("github_push_build", f"webhook__{pushed.json()['delivery_id']}")
    assert run["conf"] == {
        "repository": "Codertocat/Hello-World",
        "ref": "refs/heads/master",
        "commit": "6113728f27ae82c7b1a177c8d03f9e96e0adf246",
        "event": "push",
        "pusher": "Codertocat",
    }


def test_the_same_delivery_again_is_a_duplicate_and_no_second_run(airflow, github, pushed):
    airflow.wait_for_run("github_push_build", f"webhook__{pushed.json()['delivery_id']}")
    again = push(github, delivery="the first")
    assert (again.status_code, again.json()) == (
        202,
        {"status": "duplicate", "delivery_id": pushed.json()["delivery_id"]},
    )
    other = push(github, delivery="the second").json()["delivery_id"]
    airflow.wait_for_run("github_push_build", f"webhook__{other}")
    assert runs_of(airflow, github) == {f"webhook__{pushed.json()['delivery_id']}", f"webhook__{other}"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"body": body_of(PUSH) + b" "}, "The signature in X-Hub-Signature-256 does not match the body"),
        ({"signature": GITHUB_SIGNATURE[:-1] + "0"}, "The signature in X-Hub-Signature-256 does not match"),
        ({"signature": ""}, "The header X-Hub-Signature-256 is"),
    ],
    ids=["another body", "another signature", "no signature"],
)
def test_a_forged_push_is_401_without_detail_and_show_says_why(airflow, github, pushed, change, reason):
    before = runs_of(airflow, github)
    newest = [found["rejected_at"] for found in shown(airflow, github)["rejections"]][:1]
    response = push(github, delivery="forged", **change)
    assert (response.status_code, "signature" in response.text.lower()) == (401, False)
    while (found := rejection(airflow, github))["rejected_at"] in newest:
        time.sleep(0.2)
    assert (found["status"], found["method"], found["source_ip"]) == (401, "POST", "127.0.0.1")
    assert found["reason"].startswith(reason)
    assert runs_of(airflow, github) == before


def test_what_stripe_signed_in_2023_is_too_old_today(airflow, stripe):
    headers = headers_of(INVOICE) | {"Stripe-Signature": STRIPE_SIGNATURE}
    response = post(stripe, body_of(INVOICE), headers)
    found = rejection(airflow, stripe)
    assert (response.status_code, found["status"]) == (401, 401)
    assert found["reason"].endswith("s old; 300 s are allowed.")
    assert runs_of(airflow, stripe) == set()


def test_no_secret_and_no_signature_stands_in_the_database_or_a_log(airflow, github, stripe, pushed):
    logs = "".join(path.read_text(errors="replace") for path in airflow.home.rglob("*.log"))
    for secret in (GITHUB_SECRET, STRIPE_SECRET, GITHUB_SIGNATURE):
        assert secret not in everything(airflow)
        assert secret not in logs
