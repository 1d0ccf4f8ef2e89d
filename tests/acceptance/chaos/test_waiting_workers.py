"""Tasks wait in a whole Airflow while its processes are killed, between each two steps of a wait.

Each leg has thirty tasks, of which half wait for a call of their own and half for an event of a webhook. They
come in rounds, and in each round other processes die. A try that dies with its worker is done without:
Airflow tries the task again, the new try starts a job of its own and waits for that.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.acceptance.chaos.checker import ask
from tests.acceptance.chaos.waiting_jobs import Job, JobSystem
from tests.acceptance.chaos.waiting_site import STEP_SECONDS, WaitingSite
from tests.acceptance.webhooks import create
from tests.infrastructure.redis import RedisServer

pytestmark = [pytest.mark.airflow_server, pytest.mark.long]

DAG_IDS = ("wait_for_call", "wait_for_event")
TASK_IDS = {"wait_for_call": "call", "wait_for_event": "event"}
OF_EACH_KIND = 5
DISPATCHER = "dispatcher-1"
RESUMPTION = re.compile(r"action=(?:wait_called|wait_matched) .*?delivery=(\w+)")
PUT_OFF = (0, 503)
"""What a sender may get before its 2xx: no response, or to try again."""


@dataclass(frozen=True)
class Round:
    """What is killed while tasks are at a step of their wait, and have not come to the next one.

    The dispatcher dies at ``parked`` as well, and comes back after the kill at ``committed``, so that nothing
    is resumed before; it dies again once it has resumed the first tasks.
    """

    starting: str
    parked: str
    called: str
    committed: str
    resumed: str


ROUNDS = (
    Round("worker", "scheduler", "gateway", "api-server", "scheduler"),
    Round("api-server", "gateway", "scheduler", "gateway", "worker"),
    Round("scheduler", "api-server", "gateway", "scheduler", "api-server"),
)


@pytest.fixture(
    params=[("sqlite", "LocalExecutor"), ("postgresql", "LocalExecutor"), ("postgresql", "CeleryExecutor")],
    ids=lambda leg: "-".join(leg),
)
def site(request: pytest.FixtureRequest, template_of, tmp_path, jobs: JobSystem) -> Iterator[WaitingSite]:
    backend, executor = request.param
    redis = RedisServer() if executor == "CeleryExecutor" else None
    if redis is not None:
        redis.start()
    url = template_of(backend).for_airflow(tmp_path)
    made = WaitingSite(tmp_path, url, jobs_url=jobs.url, broker_url=redis.url if redis else None)
    try:
        yield made
    finally:
        made.stop()
        if redis is not None:
            redis.stop()


@pytest.fixture
def jobs() -> Iterator[JobSystem]:
    """What tasks start their jobs at."""
    system = JobSystem()
    with system.running():
        yield system


def test_each_wait_is_resumed_once_whichever_process_dies_between_its_steps(site, jobs):
    site.start()
    for dag_id in DAG_IDS:
        site.airflow.wait_for_dag(dag_id)
    options = ("--waiting-dag", "wait_for_event", "--dedup", "${Webhook::Body.job}")
    jobs.events_url = create(site.airflow, "jobs", *options).url
    for number, kills in enumerate(ROUNDS):
        Passage(site, jobs, number).play(kills)
    site.wait_until_up()
    assert problems_of(site, jobs) == []


class Passage:
    """Ten tasks on their way from the start to the end, step by step."""

    def __init__(self, site: WaitingSite, jobs: JobSystem, number: int) -> None:
        self.site = site
        self.jobs = jobs
        self.name = f"round {number}"
        self.runs = {
            f"{dag_id}_{number}_{place}": dag_id for place in range(OF_EACH_KIND) for dag_id in DAG_IDS
        }

    def play(self, kills: Round) -> None:
        """Bring all tasks to each step, and kill before the next one."""
        self.site.wait_until_up()
        self.jobs.stand_still()
        for run_id, dag_id in self.runs.items():
            self.site.trigger(dag_id, run_id)
        self.wait_until(lambda: len(self.of_round()) >= OF_EACH_KIND, "jobs")
        self.kill(kills.starting, "starting and parked")
        self.jobs.may_answer.set()

        self.wait_until(self.all_are_parked, "parked")
        self.site.airflow.kill(DISPATCHER)
        self.kill(kills.parked, "parked and called")
        self.jobs.may_call.set()

        self.wait_until(lambda: self.all_jobs(lambda job: job.is_begun), "called")
        self.kill(kills.called, "called and committed")
        self.jobs.may_finish.set()

        self.wait_until(lambda: self.all_jobs(lambda job: job.is_taken), "committed")
        assert self.all_are_parked(), "a task was resumed without a dispatcher"
        self.kill(kills.committed, "committed and resumed")
        self.site.launch(DISPATCHER)
        self.wait_until(self.first_is_resumed, "resumed first")
        self.kill(DISPATCHER, "committed and resumed")

        self.wait_until(self.resumed_on_their_way, "resumed")
        self.kill(kills.resumed, "resumed and finished")
        self.wait_until(self.all_have_succeeded, "finished")

    def kill(self, victim: str, between: str) -> None:
        self.say(f"{victim} dies between {between}")
        self.site.strike(victim)

    def wait_until(self, holds: Callable[[], Any], step: str) -> None:
        self.site.wait_for(
            lambda: self.look() and holds(), what=f"{step} in {self.name}", seconds=STEP_SECONDS
        )
        self.say(step)

    def say(self, what: str) -> None:
        print(f"{time.strftime('%X')} {self.name}: {what}", flush=True)

    def look(self) -> bool:
        """Let the job system know which tasks are parked."""
        self.tasks = {run_id: task for run_id, task in self.site.tasks().items() if run_id in self.runs}
        parked = [task for task in self.tasks.values() if task.is_parked]
        self.jobs.parked |= {(task.wait_id, task.try_number) for task in parked}
        return True

    def of_round(self) -> dict[str, Job]:
        return {run_id: job for run_id, job in self.jobs.latest().items() if run_id in self.runs}

    def all_jobs(self, holds: Callable[[Job], bool]) -> bool:
        return all(map(holds, self.of_round().values()))

    def all_are_parked(self) -> bool:
        return len(self.tasks) == len(self.runs) and all(task.is_parked for task in self.tasks.values())

    def first_is_resumed(self) -> bool:
        """Looks at Airflow's tasks, since what the dispatcher writes of it is what has to hold."""
        return any(not task.is_parked for task in self.tasks.values())

    def resumed(self) -> set[str]:
        """The jobs' waits that are over."""
        states = wait_states(self.site)
        return {job.wait_id for job in self.of_round().values() if states.get(job.wait_id) == "resumed"}

    def resumed_on_their_way(self) -> bool:
        """Whether a worker has a resumed task, or is about to get it."""
        resumed = self.resumed()
        return any(
            task.wait_id in resumed and task.state in ("queued", "running") for task in self.tasks.values()
        )

    def all_have_succeeded(self) -> bool:
        return all(task.state == "success" for task in self.tasks.values())


def wait_states(site: WaitingSite) -> dict[str, str]:
    """Id -> state of each wait."""
    return dict(tuple(row) for row in ask(site.database_url, "SELECT id, state FROM inbound_webhook_wait"))


def problems_of(site: WaitingSite, jobs: JobSystem) -> list[str]:
    """What is wrong once all is quiet."""
    called = [job for job in jobs.jobs if job.statuses]
    attempts = sum(len(job.statuses) for job in called)
    print(f"{len(jobs.jobs)} jobs, {len(called)} of them called, {attempts} calls")
    found = Found(site)
    return [
        *(f"{job}: {problem}" for job in called for problem in found.problems_of_job(job)),
        *(
            f"{run_id} got {got!r}"
            for run_id, job in jobs.latest().items()
            if (got := found.result(run_id)) != job.answer
        ),
        *found.unexpected_deliveries(called),
    ]


class Found:
    """What the database and the dispatcher's log say."""

    def __init__(self, site: WaitingSite) -> None:
        self._site = site
        query = "SELECT delivery_id, run_id, state FROM inbound_webhook_wait WHERE delivery_id IS NOT NULL"
        self._resumed: dict[str, list[tuple[str, str]]] = {}
        for row in ask(site.database_url, query):
            self._resumed.setdefault(row.delivery_id, []).append((row.run_id, row.state))
        rows = ask(site.database_url, "SELECT id, state FROM inbound_webhook_delivery")
        self._states = {row.id: row.state for row in rows}
        self._logged = Counter(RESUMPTION.findall(site.airflow.log(DISPATCHER).read_text()))

    def problems_of_job(self, job: Job) -> Iterator[str]:
        """The delivery of a job's calls resumes the task that started the job, once."""
        if set(job.statuses[:-1]) - set(PUT_OFF) or job.statuses[-1] != 202:
            yield "got another response"
        if (state := self._states.get(job.delivery_id or "")) != "succeeded":
            yield f"its delivery is {state}"
        if (waits := self._resumed.get(job.delivery_id or "")) != [(job.run_id, "resumed")]:
            yield f"its delivery has resumed {waits}"
        if (times := self._logged[job.delivery_id]) > 1:
            yield f"the dispatchers have resumed its task {times} times"

    def unexpected_deliveries(self, called: list[Job]) -> Iterator[str]:
        """Each job has one delivery, whatever number of calls it took."""
        expected = {job.delivery_id for job in called}
        for delivery_id, state in self._states.items():
            if delivery_id not in expected:
                yield f"delivery {delivery_id} is {state}, and of no job"

    def result(self, run_id: str) -> Any:
        """What the task of a run has returned."""
        dag_id = run_id.rsplit("_", 2)[0]
        path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{TASK_IDS[dag_id]}/xcomEntries/return_value"
        entry = self._site.airflow.rest.get(path)
        return entry and entry["value"]
