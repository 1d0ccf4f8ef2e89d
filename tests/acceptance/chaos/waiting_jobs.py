"""The system that runs the jobs of tasks: it calls back for each job, in steps that the story decides."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPResponse
from typing import Any
from urllib.parse import urlsplit

from tests.infrastructure.job_server import JobServer

ATTEMPT_SECONDS = 90
PAUSE_SECONDS = 0.3
GIVE_UP_SECONDS = 300


@dataclass
class Job:
    """A job that the try of a task has started; ``number`` is unique.

    ``statuses`` are the responses to the calls for it, 0 where none came; ``delivery_id`` is that of the 2xx.
    ``is_begun`` says that a call is on its way, of which the endpoint has one half.
    """

    number: int
    run_id: str
    wait_id: str
    try_number: int
    callback: str | None
    statuses: list[int] = field(default_factory=list)
    delivery_id: str | None = None
    is_begun: bool = False

    @property
    def answer(self) -> str:
        """What the task is to get."""
        return f"job {self.number} of {self.run_id}"

    @property
    def is_taken(self) -> bool:
        """Whether a call got 2xx."""
        return bool(self.statuses) and self.statuses[-1] // 100 == 2


class JobSystem:
    """Calls the callback of each job, or ``events_url`` where it has none, once its task is parked.

    The story knows the tasks: it adds id and number of their tries to ``parked``.
    The steps wait for the story: ``may_answer`` for the response to the task that starts a job, ``may_call``
    for the first half of a call, ``may_finish`` for the other one.
    """

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self.parked: set[tuple[str, int]] = set()
        self.events_url = ""
        self.may_answer, self.may_call, self.may_finish = (threading.Event() for _ in range(3))
        self._has_ended = threading.Event()
        self._lock = threading.Lock()
        self._server = JobServer(self._take)
        self.url = self._server.url

    @contextmanager
    def running(self) -> Iterator[JobSystem]:
        """Take jobs for the time of a block."""
        with self._server.running():
            try:
                yield self
            finally:
                self._has_ended.set()
                self.go_on()

    def stand_still(self) -> None:
        """Let further jobs wait before each step."""
        for gate in (self.may_answer, self.may_call, self.may_finish):
            gate.clear()

    def go_on(self) -> None:
        """Let no job wait any more."""
        for gate in (self.may_answer, self.may_call, self.may_finish):
            gate.set()

    def latest(self) -> dict[str, Job]:
        """Run id -> the job of the last try."""
        return {job.run_id: job for job in list(self.jobs)}

    def _take(self, given: dict[str, Any]) -> dict[str, int]:
        with self._lock:
            of_try = (given["run_id"], given["wait_id"], given["try_number"])
            job = Job(len(self.jobs), *of_try, given.get("callback"))
            self.jobs.append(job)
        threading.Thread(target=self._call, args=(job,), daemon=True).start()
        self.may_answer.wait()
        return {"job": job.number}

    def _call(self, job: Job) -> None:
        # The task of a try that was killed never parks, so nothing is called for it.
        while (job.wait_id, job.try_number) not in self.parked:
            if self._has_ended.wait(PAUSE_SECONDS):
                return
        self.may_call.wait()
        give_up_at = time.monotonic() + GIVE_UP_SECONDS
        body = json.dumps({"job": job.number, "answer": job.answer}).encode()
        while not job.is_taken and time.monotonic() < give_up_at and not self._has_ended.is_set():
            job.statuses.append(self._attempt(job, body))
            time.sleep(0 if job.is_taken else PAUSE_SECONDS)

    def _attempt(self, job: Job, body: bytes) -> int:
        """The status of the response to one call; 0 where none came."""
        url = urlsplit(job.callback or self.events_url)
        head = (
            f"POST {url.path} HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        half = len(body) // 2
        try:
            address = (url.hostname, url.port)
            with socket.create_connection(address, timeout=ATTEMPT_SECONDS) as connection:
                connection.sendall(head.encode() + body[:half])
                job.is_begun = True
                self.may_finish.wait()
                connection.sendall(body[half:])
                response = HTTPResponse(connection)
                response.begin()
                if response.status // 100 == 2:
                    job.delivery_id = json.loads(response.read())["delivery_id"]
                return response.status
        except (OSError, HTTPException):
            return 0
