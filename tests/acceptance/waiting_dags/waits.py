"""DAGs that wait in each way in which Airflow runs tasks."""

from __future__ import annotations

import os
from datetime import datetime, timedelta

import httpx
from airflow.sdk import DAG, get_current_context, task, task_group

from inbound_webhooks.operators import wait_for_webhook


def start_job(name: str, callback_url: str) -> None:
    """Tell the job server where to call."""
    job = {"name": name, "run_id": get_current_context()["run_id"], "callback": callback_url}
    httpx.post(os.environ["JOBS_URL"], json=job).raise_for_status()


@wait_for_webhook(timeout=timedelta(minutes=10), result="${Webhook::Body.answer}")
def ask(name: str, callback_url: str) -> None:
    """The plain wait."""
    start_job(name, callback_url)


@task
def report(answers: list[str]) -> None:
    """Print what the calls said."""
    print("answers:", ",".join(sorted(answers)))


with DAG("wait_retried", schedule=None):

    @wait_for_webhook(fail_when="body.answer == 'no'", retries=1, retry_delay=timedelta())
    def ask_again(name: str, callback_url: str) -> None:
        """Fails where the answer is no, and asks once more."""
        start_job(name, callback_url)

    ask_again("again")

with DAG("wait_mapped", schedule=None):

    @task_group
    def survey() -> None:
        """A mapped task in a group."""
        report(ask.expand(name=["a", "b", "c"]))

    survey()

with DAG("wait_softly", schedule=None):

    @wait_for_webhook(fail_when="body.answer == 'no'", soft_fail=True)
    def ask_softly(name: str, callback_url: str) -> None:
        """Is skipped where the answer is no."""
        start_job(name, callback_url)

    ask_softly("softly")

with DAG("wait_daily", schedule="@daily", start_date=datetime(2026, 1, 1), catchup=False):
    ask("daily")
