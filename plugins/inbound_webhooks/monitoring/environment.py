"""What is wrong with this process's environment, for the log, the health report, ``check`` and the pages.

Whatever finds such a problem reports it here, at startup or when a request meets it, and resolves it when it
is over. A problem's ``code`` identifies it, its message says what is wrong and how to fix it, without
secrets; with the severity ``stops`` the endpoint cannot accept requests.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from inbound_webhooks.errors import Problem
from inbound_webhooks.monitoring.log_lines import get_logger

log = get_logger(__name__)

CODES = frozenset(
    {
        "async-url-unusable",
        "client-address-replaced",
        "database-exhausted",
        "database-host-unknown",
        "database-login-refused",
        "database-missing",
        "database-not-permitted",
        "database-read-only",
        "database-tls",
        "database-too-many-connections",
        "database-unavailable",
        "fernet-key-missing",
        "fernet-key-other",
        "misconfigured",
        "pooler-loses-statements",
        "slow-checks-do-not-start",
        "slow-connections",
        "tables-missing",
        "thread-failing",
    }
)
"""The codes of all problems that may be reported; a dash and the thread's name follow the last one.

docs/troubleshooting.md says what to do about each."""


class Environment:
    """The current problems of one process; safe to use from any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._lock = threading.Lock()
        self._clock = clock
        self._problems: dict[str, Problem] = {}
        self._over_at: dict[str, float] = {}

    def report(self, problem: Problem, *, seconds: float = float("inf")) -> None:
        """Add a problem, or replace the one with its code; logged unless it is known already.

        :param seconds: after this time without another report the problem counts as solved
        """
        self._resolve_old()
        with self._lock:
            is_known = self._problems.get(problem.code) == problem
            self._problems[problem.code] = problem
            self._over_at[problem.code] = self._clock() + seconds
        if not is_known:
            write = log.error if problem.stops else log.warning
            write("environment problem action=environment_problem code=%s: %s", problem.code, problem.message)

    def resolve(self, code: str) -> None:
        """Remove a problem, which is over; nothing happens where there is none."""
        if code not in self._problems:  # the usual case, without the lock
            return
        with self._lock:
            solved = self._problems.pop(code, None)
        if solved is not None:
            log.info("environment problem solved action=environment_solved code=%s", code)

    def problems(self) -> tuple[Problem, ...]:
        """The current problems, those that stop the endpoint first."""
        self._resolve_old()
        with self._lock:
            found = tuple(self._problems.values())
        return tuple(sorted(found, key=lambda problem: not problem.stops))

    def _resolve_old(self) -> None:
        now = self._clock()
        with self._lock:
            old = [code for code in self._problems if self._over_at[code] <= now]
        for code in old:
            self.resolve(code)


ENVIRONMENT = Environment()
"""The problems of this process."""
