"""The example of the README: a GitHub push starts a DAG run."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow_home import CHECKOUT
from rest import Response, Rest, send

DAG_ID = "github_push_build"
TASK_ID = "build"
WEBHOOK = "github-push"
MAPPING = {
    "repository": "${Webhook::Body.repository.full_name}",
    "ref": "${Webhook::Body.ref}",
    "commit": "${Webhook::Body.after}",
    "event": "${Webhook::Headers.X-GitHub-Event}",
    "pusher": "${Webhook::Body.pusher.name}",
}
PARSE_SECONDS = 120
RUN_SECONDS = 120


class ExampleError(Exception):
    """The example did not behave as the README says."""


@dataclass(frozen=True)
class Payload:
    """A sender's stored request: NAME.body with NAME.headers beside it."""

    body_file: Path
    headers: dict[str, str]

    @property
    def body(self) -> bytes:
        return self.body_file.read_bytes()


def github_push() -> Payload:
    files = sorted((CHECKOUT / "tests/payloads/github").glob("push__new_branch.body"))
    if not files:
        raise ExampleError("there is no payload in tests/payloads/github")
    lines = files[0].with_suffix(".headers").read_text().splitlines()
    headers = dict(line.split(": ", 1) for line in lines if ": " in line)
    return Payload(files[0], headers)


def create_arguments() -> list[str]:
    """The arguments of `airflow` that create the example's webhook."""
    maps = [argument for pair in MAPPING.items() for argument in ("--map", "=".join(pair))]
    return ["webhooks", "create", WEBHOOK, "--dag-id", DAG_ID, *maps, "-o", "json"]


def read_webhook(output: str) -> dict[str, Any]:
    """Parse the output of `airflow webhooks … -o json`: an object, or a list of one."""
    try:
        parsed = json.loads(output)
    except ValueError as error:
        raise ExampleError(f"`airflow webhooks` printed something that is not JSON: {output!r}") from error
    webhook: dict[str, Any] = parsed[0] if isinstance(parsed, list) else parsed
    return webhook


def wait_for_dag(rest: Rest, check: Callable[[], None]) -> None:
    for _ in _ticks(PARSE_SECONDS, check):
        if rest.get(f"dags/{DAG_ID}"):
            return
    raise ExampleError(f"Airflow has not found the DAG {DAG_ID} in dags/: see the log of the dag-processor")


def send_push(webhook_url: str) -> Response:
    payload = github_push()
    return send(webhook_url, data=payload.body, headers=payload.headers)


def run_id_of(response: Response) -> str:
    """The id of the run that the request starts."""
    if response.status >= 300:
        raise ExampleError("the webhook did not accept the request")
    try:
        return f"webhook__{response.json()['delivery_id']}"
    except (ValueError, KeyError, TypeError) as error:
        raise ExampleError("the webhook's response has no delivery id") from error


def wait_for_run(rest: Rest, run_id: str, check: Callable[[], None]) -> None:
    """Wait until the run has succeeded."""
    state = "missing"
    for _ in _ticks(RUN_SECONDS, check):
        run = rest.get(f"dags/{DAG_ID}/dagRuns/{run_id}")
        state = run["state"] if run else state
        if state == "success":
            return
        if state == "failed":
            break
    raise ExampleError(f"the run {run_id} is {state}: see the logs of the scheduler and the api-server")


def printed_by_task(rest: Rest, run_id: str) -> list[str]:
    """The lines that the first task wrote to standard output."""
    log = rest.get(f"dags/{DAG_ID}/dagRuns/{run_id}/taskInstances/{TASK_ID}/logs/1?full_content=true")
    entries = log["content"] if log else []
    return [entry["event"] for entry in entries if entry.get("logger") == "task.stdout"]


def curl_command(webhook_url: str) -> str:
    payload = github_push()
    kept = [name for name in payload.headers if name.lower() in ("content-type", "x-github-event")]
    headers = " ".join(f"-H '{name}: {payload.headers[name]}'" for name in kept)
    return f"curl {headers} --data-binary @{payload.body_file.relative_to(CHECKOUT)} '{webhook_url}'"


def _ticks(seconds: float, check: Callable[[], None]) -> Iterator[None]:
    """Iterate until the time is up; each iteration first checks that the processes are still alive."""
    give_up_at = time.monotonic() + seconds
    while time.monotonic() < give_up_at:
        check()
        yield
        time.sleep(0.25)
