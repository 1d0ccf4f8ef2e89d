"""What the API says of itself holds, whatever somebody sends: asked by schemathesis, as an administrator."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from schemathesis import engine
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events

from tests.infrastructure.webhooks_builder import store_delivery, store_rejection, store_webhook
from tests.integration.rest.conftest import new_name

PREFIX = "/webhooks/api"
HEADERS = json.dumps([["Content-Type", "application/json"]])
SECONDS = 24
"""How long it goes on: examples and edges of everything take 20, then it makes things up until the end."""

GENERATION = {"no-shrink": True, "deterministic": True, "database": "none"}
ASKED = {
    # In `make test`: some made-up requests to each operation.
    "few": {
        "phases": {"coverage": {"enabled": False}, "stateful": {"enabled": False}},
        "generation": {"max-examples": 4, **GENERATION},
    },
    "many": {"max-time": SECONDS, "generation": {"max-examples": 10, **GENERATION}},
}
CHECKED = {
    "checks": {
        # Expressions have a grammar that no JSON Schema tells: what does not compile is 422, and what nothing
        # can be ordered by 400.
        "positive_data_acceptance": {"expected-statuses": ["2xx", 400, 403, 404, 409, 422]},
    },
}


@pytest.fixture(scope="module")
def described(anyone, request) -> Any:
    """The API by its own description, with ids of what is there among all texts."""
    from inbound_webhooks.rest.app import app

    admin = anyone("ada")
    document = admin("GET", "/v1/openapi.json").json()
    del document["paths"]["/health"]  # 503 here, where no dispatcher runs
    for operations in document["paths"].values():
        for operation in operations.values():
            for parameter in operation.get("parameters", ()):
                if found := there(parameter["name"]):
                    parameter["schema"] = {"anyOf": [{"enum": found}, parameter["schema"]]}
    config = SchemathesisConfig.from_dict(ASKED[request.param] | CHECKED | {"headers": dict(admin.headers)})
    loaded = schemathesis.openapi.from_dict(document | {"servers": [{"url": PREFIX}]}, config=config)
    loaded.app = FastAPI()
    # Below a prefix and without its lifespan, as in Airflow; the dispatcher stays away.
    loaded.app.mount(PREFIX, app)
    return loaded


def there(name: str) -> list[Any]:
    """A value of a parameter that leads to something; made for each route, for one of them deletes it."""
    if name not in ("webhook_id", "delivery_id", "rejection_id", "job_id"):
        return ["github"] if name == "name" else []
    hook = store_webhook(new_name(), mapping={"a": "${Webhook::Body.a}"})
    if name == "webhook_id":
        return [hook.id]
    if name == "rejection_id":
        return [store_rejection(hook)]
    made = store_delivery(hook, body=b'{"a": 1}', headers=HEADERS, state="succeeded", next_attempt_at=None)
    return [made] if name == "delivery_id" else [job_of(made)]


def job_of(delivery_id: str) -> str:
    """A replay job, which has ended so that the limit of running ones is not reached."""
    from inbound_webhooks.deliveries import replay_jobs

    job = replay_jobs.start(access=None, actor="an operator", remap=False, ids=[delivery_id])
    replay_jobs.cancel(job.id, None, "an operator")
    return str(job.id)


def problems(event: Any) -> Iterator[str]:
    """What an event of the engine says is wrong."""
    if isinstance(event, events.NonFatalError | events.FatalError):
        yield str(getattr(event, "value", None) or event.exception)
    if isinstance(event, events.ScenarioFinished):
        for case_id, checks in event.recorder.checks.items():
            for check in checks:
                if check.failure_info is not None:
                    asked = event.recorder.cases[case_id].value
                    curl = asked.as_curl_command()
                    yield f"{event.phase} {event.label}: {check.failure_info.failure}\n{curl}"


def operations(described: Any) -> set[str]:
    """Such as ``GET /v1/webhooks``: what has to be asked, however slow the machine is."""
    paths = described.raw_schema["paths"].items()
    return {f"{method.upper()} {path}" for path, methods in paths for method in methods}


@pytest.mark.parametrize(
    ("pages", "described"),
    [
        ("simple", "few"),
        pytest.param("simple", "many", marks=pytest.mark.long),
        pytest.param("fab", "many", marks=pytest.mark.long),
    ],
    indirect=True,
)
def test_every_answer_is_as_described(described):
    seen = list(engine.from_schema(described).execute())
    asked = {one.label for one in seen if isinstance(one, events.ScenarioFinished)}
    found = sorted({problem for one in seen for problem in problems(one)})
    assert not found, "\n\n".join(found)
    assert asked >= operations(described)
