"""What a worker does before the task waits: the URL, the registration, the function, and the parking."""

from __future__ import annotations

import hashlib
import re
from datetime import timedelta
from types import SimpleNamespace
from uuid import UUID

import pytest

from inbound_webhooks.event.task_wait import XCOM_KEY, Registration
from inbound_webhooks.operators import WaitForWebhook
from inbound_webhooks.operators.errors import WaitFailed

ID = UUID("0197a000-0000-7000-8000-000000000001")
TRY_NUMBER = 2
HOUR = timedelta(hours=1)


class Supervisor:
    """Takes what a task sends to its supervisor; ``events`` are its kinds, and calls of the function."""

    def __init__(self) -> None:
        self.sent = []
        self.events = []

    def send(self, msg=None, **_):
        self.sent.append(msg)
        self.events.append(type(msg).__name__)

    @property
    def xcom(self):
        (found,) = (msg for msg in self.sent if type(msg).__name__ == "SetXCom")
        return found


@pytest.fixture
def supervisor(monkeypatch):
    from airflow.sdk.execution_time import task_runner

    made = Supervisor()
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", made, raising=False)
    monkeypatch.setenv("AIRFLOW__INBOUND_WEBHOOKS__PUBLIC_URL", "https://hooks.example.com/in/")
    return made


def context(user: str | None = None, map_index: int = -1) -> dict:
    task = {"dag_id": "training", "run_id": "manual", "task_id": "waiting", "map_index": map_index}
    task["try_number"] = TRY_NUMBER
    return {"ti": SimpleNamespace(id=ID, **task), "dag_run": SimpleNamespace(triggering_user_name=user)}


def execute(start, given: dict | None = None, **options):
    """Run a task until it waits; returns what it parked with, in Airflow 3.2 for a trigger."""
    from airflow.sdk import exceptions

    parking = getattr(exceptions, "TaskAwaitingInput", exceptions.TaskDeferred)
    task = WaitForWebhook(task_id="waiting", start=start, timeout=HOUR, **options)
    with pytest.raises(parking) as parked:
        task.execute(given or context())
    return parked.value


def test_the_function_gets_a_url_whose_token_is_stored_as_a_hash(supervisor):
    urls = []
    parked = execute(lambda callback_url: urls.append(callback_url))
    match = re.fullmatch(rf"https://hooks\.example\.com/in/webhook/wait/{ID.hex}/([0-9a-f]{{64}})", urls[0])
    registration = Registration.from_json(supervisor.xcom.value)
    assert registration.token_sha256 == hashlib.sha256(match[1].encode()).hexdigest()
    assert match[1] not in str(supervisor.xcom)
    assert (supervisor.xcom.key, supervisor.xcom.task_id, registration.wait_id) == (
        XCOM_KEY,
        "waiting",
        ID.hex,
    )
    assert registration.try_number == TRY_NUMBER
    assert registration.deadline - registration.created_at == HOUR
    assert parked.method_name == "complete_wait"
    # Airflow ends the wait later than the dispatcher.
    assert HOUR < parked.timeout <= HOUR + timedelta(minutes=1)


def test_the_wait_is_registered_before_the_function_hands_out_the_url(supervisor):
    execute(lambda callback_url: supervisor.events.append("called"))
    assert supervisor.events.index("SetXCom") < supervisor.events.index("called")


def test_the_log_masks_the_token(supervisor):
    urls = []
    execute(lambda callback_url: urls.append(callback_url))
    masked = [msg.value for msg in supervisor.sent if type(msg).__name__ == "MaskSecret"]
    assert masked == [urls[0].rpartition("/")[2]]


def test_each_try_has_another_token(supervisor):
    urls = []
    for _ in range(2):
        execute(lambda callback_url: urls.append(callback_url))
    assert urls[0] != urls[1]


def test_arguments_and_context_are_passed_as_to_other_functions(supervisor):
    given = []

    def start(model, *, epochs, ti, callback_url):
        given.append((model, epochs, ti.task_id))

    execute(start, op_args=["large"], op_kwargs={"epochs": 3})
    assert given == [("large", 3, "waiting")]


def test_an_async_function_is_awaited(supervisor):
    given = []

    async def start(callback_url):
        given.append(callback_url)

    execute(start)
    assert len(given) == 1


def test_a_mapped_task_registers_its_index(supervisor):
    execute(lambda callback_url: None, context(map_index=3))
    assert supervisor.xcom.map_index == 3


def test_expressions_are_part_of_the_registration(supervisor):
    execute(lambda callback_url: None, result="${Webhook::Body.a}", fail_when="body.b")
    registration = Registration.from_json(supervisor.xcom.value)
    assert (registration.result, registration.fail_when) == ("${Webhook::Body.a}", "body.b")


def test_a_worker_without_a_public_url_fails_the_task_and_names_the_setting(supervisor, monkeypatch):
    monkeypatch.delenv("AIRFLOW__INBOUND_WEBHOOKS__PUBLIC_URL")
    task = WaitForWebhook(task_id="waiting", start=lambda callback_url: None)
    with pytest.raises(WaitFailed, match=r"\[inbound_webhooks\] public_url"):
        task.execute(context())
    assert supervisor.sent == []


def test_dag_test_is_refused_with_a_sentence(supervisor):
    task = WaitForWebhook(task_id="waiting", start=lambda callback_url: None)
    with pytest.raises(WaitFailed, match=r"dag\.test\(\) cannot run"):
        task.execute(context(user="dag_test"))
