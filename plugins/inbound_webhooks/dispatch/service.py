"""All jobs of a dispatcher process, each in its own thread so that none blocks another."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime

from inbound_webhooks.dispatch.activity_counter import LOOK_SECONDS as ACTIVITY_SECONDS
from inbound_webhooks.dispatch.activity_counter import ActivityCounter
from inbound_webhooks.dispatch.dag_watcher import WATCH_SECONDS, DagWatcher
from inbound_webhooks.dispatch.dispatcher import Dispatcher
from inbound_webhooks.dispatch.drift import LOOK_SECONDS as DRIFT_SECONDS
from inbound_webhooks.dispatch.drift import DriftWatcher
from inbound_webhooks.dispatch.groups import Groups
from inbound_webhooks.dispatch.holds import HOLD_SECONDS, Holds
from inbound_webhooks.dispatch.key_refresher import LOOK_SECONDS, KeyRefresher
from inbound_webhooks.dispatch.replay_jobs import POLL_SECONDS as REPLAY_SECONDS
from inbound_webhooks.dispatch.replay_jobs import ReplayJobs
from inbound_webhooks.dispatch.retention import ROUND_SECONDS, RetentionJob
from inbound_webhooks.dispatch.run_tracker import RunTracker
from inbound_webhooks.dispatch.targets.waiting_task import POLL_SECONDS as WAIT_SECONDS
from inbound_webhooks.dispatch.targets.waiting_task import WaitingTasks
from inbound_webhooks.monitoring.clock import utc_now
from inbound_webhooks.monitoring.loop import Loop, attempt
from inbound_webhooks.notifications.sender import POLL_SECONDS, NotificationSender
from inbound_webhooks.settings import Settings

STOP_SECONDS = 3.0
"""How long a stop waits for current rounds; a mail stuck at a dead server is abandoned and sent later."""


class DispatchService:
    """All background jobs, each in a thread; with :meth:`run` the dispatcher uses the calling thread."""

    def __init__(self, settings: Settings, *, now: Callable[[], datetime] = utc_now) -> None:
        self._dispatcher = Dispatcher(settings, now=now)
        self._retention = RetentionJob(settings, now=now)
        self._run_tracker = RunTracker(settings, now=now)
        self._drift_watcher = DriftWatcher(settings, now=now)
        self._replay_jobs = ReplayJobs(now=now)
        self._activity_counter = ActivityCounter(settings, now=now)
        self._holds = Holds(now=now)
        self._dag_watcher = DagWatcher(now=now)
        self._waiting_tasks = WaitingTasks(settings, now=now)
        self._waits = Loop("waits", self._waiting_tasks.look, seconds=WAIT_SECONDS)
        groups = Groups(settings, now=now, on_due=self._dispatcher.wake)
        self._groups = Loop("groups", groups.look, seconds=settings.dispatcher_poll_seconds)
        sender, refresher = NotificationSender(settings, now=now), KeyRefresher(now=now)
        self.loops = (
            self._dispatcher.loop,
            Loop("outcomes", self._track_runs, seconds=settings.outcome_poll_seconds),
            Loop("retention", self._clean, seconds=ROUND_SECONDS),
            Loop("mails", sender.send_due, seconds=POLL_SECONDS),
            Loop("keys", lambda: refresher.refresh_due() > 0, seconds=LOOK_SECONDS),
            Loop("drift", self._watch_drift, seconds=DRIFT_SECONDS),
            Loop("replays", self._replay, seconds=REPLAY_SECONDS),
            Loop("activity", self._count_activity, seconds=ACTIVITY_SECONDS),
            self._waits,
            Loop("holds", self._release, seconds=HOLD_SECONDS),
            Loop("dags", self._watch_dags, seconds=WATCH_SECONDS),
            self._groups,
        )

    def wake(self) -> None:
        """Look for deliveries immediately, since this process has accepted one."""
        self._dispatcher.wake()
        if self._waiting_tasks.awaits_events:
            self._waits.wake()

    def wake_waits(self) -> None:
        """Look for calls of waiting tasks immediately, since this process has accepted one."""
        self._waits.wake()

    def wake_groups(self) -> None:
        """Look at groups immediately, since this process has accepted a delivery that waits for others."""
        self._groups.wake()

    def stop(self) -> None:
        """Let the threads end after the current rounds."""
        self._retention.stop()
        self._activity_counter.stop()
        for loop in self.loops:
            loop.stop()

    def start(self) -> None:
        """Work in threads until :meth:`stop`, through outages of database and mail server."""
        for loop in self.loops:
            loop.start()

    def run(self) -> None:
        """Work until :meth:`stop`, with the dispatcher in this thread."""
        for loop in self.loops[1:]:
            loop.start()
        self._dispatcher.run()
        self.stop()
        self.join(STOP_SECONDS)

    def join(self, dispatcher_seconds: float) -> None:
        """Wait for the end of the threads, of the dispatcher's up to a limit of its own."""
        self._dispatcher.loop.join(dispatcher_seconds)
        # One deadline for all other loops together, not one for each.
        give_up_at = time.monotonic() + STOP_SECONDS
        for loop in self.loops[1:]:
            loop.join(max(0.0, give_up_at - time.monotonic()))

    def _track_runs(self) -> bool:
        changed = self._run_tracker.follow() > 0
        if changed:
            self._dispatcher.wake()  # a webhook at its limit of active runs may have a free run again
            self._groups.wake()  # and the next one of a key may have its turn
        return changed

    def _replay(self) -> bool:
        replayed = self._replay_jobs.process_due()
        if replayed:
            self._dispatcher.wake()
            self._groups.wake()
        return replayed

    def _release(self) -> bool:
        released = self._holds.look() > 0
        if released:
            self._dispatcher.wake()
        return released

    def _watch_dags(self) -> bool:
        if self._dag_watcher.look():
            self._dispatcher.wake()
        return False

    # All return False: a round is complete, and the next one follows after the loop's pause.

    def _clean(self) -> bool:
        # A failure of the counts must not keep old rows for ever.
        attempt("activity", self._activity_counter.count_ended, 0)
        self._retention.clean()
        return False

    def _watch_drift(self) -> bool:
        self._drift_watcher.look()
        return False

    def _count_activity(self) -> bool:
        self._activity_counter.count()
        return False
