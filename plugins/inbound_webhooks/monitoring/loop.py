"""Repeats the jobs of long-lived threads and tasks, whatever errors they raise."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from inbound_webhooks.errors import DatabaseUnavailable, Problem
from inbound_webhooks.monitoring import metrics
from inbound_webhooks.monitoring.environment import ENVIRONMENT, Environment
from inbound_webhooks.monitoring.log_lines import SourceLines, get_logger

log = get_logger(__name__)

Result = TypeVar("Result")

LONGEST_PAUSE_SECONDS = 30.0
"""Longest pause after a failed round; shorter than the time after which a dispatcher counts as stopped."""

FAILING_ROUNDS = 3
"""Failed rounds in a row that make a problem of the environment."""


class Loop:
    """Calls ``work`` until :meth:`stop`: again immediately if it returns True, else after ``seconds``.

    After an unexpected error the pause doubles with each further one. ``at_end`` is called once after the
    last round.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[], bool],
        *,
        seconds: float,
        at_end: Callable[[], None] | None = None,
        environment: Environment = ENVIRONMENT,
    ) -> None:
        self.name = name
        self._work = work
        self._seconds = seconds
        self._at_end = at_end
        self._failures = Failures(name, seconds=seconds, environment=environment)
        self._woken = threading.Event()
        self._stopping = False
        # A daemon, because a job may hang in a system call; join() gives up after a while.
        self._thread = threading.Thread(target=self.run, name=f"inbound-webhooks-{name}", daemon=True)

    def start(self) -> None:
        """Run in a thread of its own."""
        self._thread.start()

    def run(self) -> None:
        """Run in the calling thread until :meth:`stop`."""
        log.info("%s started action=%s_started", self.name, self.name)
        while not self._stopping:
            # Cleared before the work, so that what happens meanwhile gets another round.
            self._woken.clear()
            pause = self.round()
            if pause and not self._stopping:
                self._woken.wait(pause)
        if self._at_end is not None:
            with contextlib.suppress(DatabaseUnavailable):  # logged already
                attempt(self.name, self._at_end, None)
        self._failures.end()
        log.info("%s stopped action=%s_stopped", self.name, self.name)

    def wake(self) -> None:
        """End the current pause, since there is work."""
        self._woken.set()

    def stop(self) -> None:
        """Let the loop end after the current round."""
        self._stopping = True
        self._woken.set()

    def join(self, seconds: float | None = None) -> None:
        """Wait for the end, up to a limit: the thread is a daemon and does not keep the process alive."""
        if self._thread.ident is not None:
            self._thread.join(seconds)

    def round(self) -> float:
        """Work once, whatever it raises; return the seconds until the next round."""
        try:
            again = self._work()
        except DatabaseUnavailable:
            return self._seconds  # logged already; the next round tries again
        except Exception as error:  # noqa: BLE001 - one failed round must not end the loop
            return self._failures.note(error)
        self._failures.end()
        return 0.0 if again else self._seconds


@asynccontextmanager
async def repeating(name: str, work: Callable[[], Awaitable[None]], *, seconds: float) -> AsyncIterator[None]:
    """Await ``work`` again and again on the event loop, with pauses as in :class:`Loop`, while inside."""
    task = asyncio.create_task(_repeat(name, work, seconds))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _repeat(name: str, work: Callable[[], Awaitable[None]], seconds: float) -> None:
    failures = Failures(name, seconds=seconds)
    while True:
        pause = seconds
        try:
            await work()
        except DatabaseUnavailable:
            pass  # logged already; the next round tries again
        except Exception as error:  # noqa: BLE001 - one failed round must not end the task
            pause = failures.note(error)
        else:
            failures.end()
        await asyncio.sleep(pause)


class Failures:
    """The failed rounds of a loop in a row: logged, counted, and a problem where they do not end."""

    def __init__(self, name: str, *, seconds: float, environment: Environment = ENVIRONMENT) -> None:
        self._name = name
        self._seconds = seconds
        self._environment = environment
        self._code = f"thread-failing-{name}"
        self._count = 0

    def note(self, error: Exception) -> float:
        """Note a failed round; return the seconds until the next one."""
        note_unexpected_error(self._name, error)
        self._count += 1
        if self._count == FAILING_ROUNDS:
            self._environment.report(
                Problem(
                    f"The background thread {self._name!r} fails in every round ({type(error).__name__}). "
                    "Its log has action=thread_error with the place; please report it.",
                    code=self._code,
                    severity="hint",
                )
            )
        return min(self._seconds * 2.0 ** min(self._count - 1, 16), LONGEST_PAUSE_SECONDS)

    def end(self) -> None:
        """Note that a round succeeded, or that there are no more."""
        if self._count:
            self._count = 0
            self._environment.resolve(self._code)


def attempt(name: str, work: Callable[[], Result], otherwise: Result) -> Result:
    """The result of a step whose failure must not stop the others: ``otherwise`` after an unexpected error.

    :param name: of the loop, for the log and the metric
    :raises DatabaseUnavailable: it concerns the other steps too
    """
    try:
        return work()
    except DatabaseUnavailable:
        raise
    except Exception as error:  # noqa: BLE001 - see above
        note_unexpected_error(name, error)
        return otherwise


def note_unexpected_error(name: str, error: Exception) -> None:
    """Log an unexpected error of a loop, and count it."""
    log_unexpected_error(name, error)
    metrics.count(f"thread_failures.{name}")


def log_unexpected_error(what: str, error: BaseException, *, action: str = "thread_error") -> None:
    """Log where an unexpected error was raised, without its message, which may quote values."""
    places = "".join(traceback.format_tb(error.__traceback__))
    kind = type(error).__name__
    log.error("unexpected error action=%s what=%s kind=%s\n%s", action, what, kind, SourceLines(places))
