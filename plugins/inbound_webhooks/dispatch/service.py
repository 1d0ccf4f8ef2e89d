"""All that a dispatcher process does, each in a thread of its own so that none waits for another."""

from __future__ import annotations

import time

from inbound_webhooks.dispatch.dispatcher import Dispatcher
from inbound_webhooks.dispatch.drift import LOOK_SECONDS as DRIFT_SECONDS
from inbound_webhooks.dispatch.drift import DriftWatcher
from inbound_webhooks.dispatch.key_refresher import LOOK_SECONDS, KeyRefresher
from inbound_webhooks.dispatch.retention import ROUND_SECONDS, RetentionJob
from inbound_webhooks.dispatch.run_tracker import RunTracker
from inbound_webhooks.monitoring.loop import Loop
from inbound_webhooks.notifications.sender import POLL_SECONDS, NotificationSender
from inbound_webhooks.settings import Settings

STOP_SECONDS = 3.0
"""How long the end waits for rounds at hand; a mail on its way to a dead server is left, and sent later."""


class DispatchService:
    """Makes runs in the thread that calls :meth:`run`; all else is done beside it."""

    def __init__(self, settings: Settings) -> None:
        self._dispatcher = Dispatcher(settings)
        self._cleaner = RetentionJob(settings)
        self._follower = RunTracker(settings)
        self._watcher = DriftWatcher(settings)
        mailer, refresher = NotificationSender(settings), KeyRefresher()
        self._loops = (
            Loop("outcomes", self._follow, seconds=settings.outcome_poll_seconds),
            Loop("retention", self._clean, seconds=ROUND_SECONDS),
            Loop("mails", mailer.send_due, seconds=POLL_SECONDS),
            Loop("keys", lambda: refresher.refresh_due() > 0, seconds=LOOK_SECONDS),
            Loop("drift", self._watch, seconds=DRIFT_SECONDS),
        )

    def wake(self) -> None:
        """Look for deliveries now: this process has accepted one."""
        self._dispatcher.wake()

    def stop(self) -> None:
        """Let :meth:`run` end after what is at hand."""
        self._dispatcher.stop()
        self._cleaner.stop()
        for loop in self._loops:
            loop.stop()

    def run(self) -> None:
        """Work until :meth:`stop`, whatever database and mail server do."""
        for loop in self._loops:
            loop.start()
        self._dispatcher.run()
        give_up_at = time.monotonic() + STOP_SECONDS
        for loop in self._loops:
            loop.stop()
            loop.join(max(0.0, give_up_at - time.monotonic()))

    def _follow(self) -> bool:
        changed = self._follower.follow() > 0
        if changed:
            self._dispatcher.wake()  # a webhook with a limit of active runs may have room again
        return changed

    def _clean(self) -> bool:
        self._cleaner.clean()
        return False

    def _watch(self) -> bool:
        self._watcher.look()
        return False
