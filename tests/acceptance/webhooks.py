"""The webhooks that the tests call: made by command line as a person does, called as a sender does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import urlsplit

import requests

from tests.infrastructure.airflow_processes import AirflowProcesses

COMMANDS_AT_ONCE = 2
ANSWER_SECONDS = 60

GITHUB_MAPPING = {
    "repository": "${Webhook::Body.repository.full_name}",
    "ref": "${Webhook::Body.ref}",
    "commit": "${Webhook::Body.after}",
    "event": "${Webhook::Headers.X-GitHub-Event}",
    "pusher": "${Webhook::Body.pusher.name}",
}
SHOPIFY_MAPPING = {
    "order_id": "${Webhook::Body.id}",
    "currency": "${Webhook::Body.currency}",
    "customer": "${Webhook::Body.customer}",
    "lines": "${Webhook::Body.line_items}",
}


def maps(mapping: dict[str, str]) -> tuple[str, ...]:
    """The options of `create` for a mapping."""
    return tuple(argument for pair in mapping.items() for argument in ("--map", "=".join(pair)))


ARGUMENTS: dict[str, tuple[str, ...]] = {
    "pushes": ("--dag-id", "github_push_build", *maps(GITHUB_MAPPING)),
    "orders": ("--dag-id", "order_pipeline", *maps(SHOPIFY_MAPPING)),
    "events": ("--dag-id", "event_log"),
}


@dataclass(frozen=True)
class Webhook:
    """What `create -o json` prints."""

    id: str
    name: str
    dag_id: str
    enabled: bool
    url: str

    @property
    def token(self) -> str:
        return self.url.rpartition("/")[2]

    @property
    def path(self) -> str:
        return urlsplit(self.url).path


def create(airflow: AirflowProcesses, name: str, *arguments: str) -> Webhook:
    """`airflow webhooks create`, which prints one JSON object and nothing else."""
    done = airflow.airflow("webhooks", "create", name, *arguments, "-o", "json")
    assert done.returncode == 0, done.stderr
    return read_webhook(done.stdout)


def read_webhook(printed: str) -> Webhook:
    """What a story needs of the JSON object that `create` printed."""
    fields = json.loads(printed)
    return Webhook(**{name: fields[name] for name in Webhook.__dataclass_fields__})


def create_all(airflow: AirflowProcesses, arguments: Mapping[str, tuple[str, ...]]) -> dict[str, Webhook]:
    """Name -> webhook; a command takes seconds, so more than one at once."""
    with ThreadPoolExecutor(COMMANDS_AT_ONCE) as pool:
        made = pool.map(lambda item: create(airflow, item[0], *item[1]), arguments.items())
        return {webhook.name: webhook for webhook in made}


def post(webhook: Webhook, body: bytes, headers: Mapping[str, str] | None = None) -> requests.Response:
    """POST to a webhook's URL, JSON unless the headers say otherwise."""
    return requests.post(
        webhook.url,
        data=body,
        headers={"Content-Type": "application/json", **(headers or {})},
        timeout=ANSWER_SECONDS,
    )


def deliver(webhook: Webhook, body: bytes, headers: Mapping[str, str] | None = None) -> str:
    """POST what must be accepted; returns the delivery's id."""
    response = post(webhook, body, headers)
    assert response.status_code == 202, response.text
    assert response.json()["status"] == "accepted"
    return str(response.json()["delivery_id"])
