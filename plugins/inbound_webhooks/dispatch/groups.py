"""Makes deliveries due that wait for others of their group, or ends them: full batches, the latest of a key
after a quiet period, the next one of a key whose run has ended.

A group is decided about in a transaction that locks its webhook, by what is stored then: nothing depends on
which dispatcher looks, when, or for how long none did.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import Connection

from inbound_webhooks.dispatch import key_order
from inbound_webhooks.errors import DatabaseUnavailable
from inbound_webhooks.event.conf.of_batch import LEAST_CHARS_OF_A_VALUE, count_conf_values
from inbound_webhooks.event.grouping import grouped_state
from inbound_webhooks.event.sizes import CANCEL_RUNNING
from inbound_webhooks.monitoring import metrics
from inbound_webhooks.monitoring.clock import utc_now
from inbound_webhooks.monitoring.log_lines import get_logger
from inbound_webhooks.monitoring.loop import log_unexpected_error
from inbound_webhooks.records.delivery import State
from inbound_webhooks.records.delivery_states import BEHAVIOUR
from inbound_webhooks.records.webhook import Webhook
from inbound_webhooks.settings import Settings
from inbound_webhooks.storage import claims, groups
from inbound_webhooks.storage.database import autocommit, begin_writing, session_transaction
from inbound_webhooks.storage.groups import Group, Member
from inbound_webhooks.storage.webhooks import webhook_by_id

log = get_logger(__name__)

WEBHOOKS, GROUPS = 100, 200
"""Webhooks of a round, and groups of each."""

MAX_DUE_BATCHES, MAX_DUE = 50, 1_000
"""Batches, or deliveries, of a webhook that are due at the same time: what is due counts in the backlog."""

LEAST_SECONDS = 0.1
"""Time between two rounds: each delivery of a flood asks for one."""

PAUSE_FACTOR = 3
"""After a look at many groups of which none was ready, a pause of so many times as long follows."""

MAX_SEEN = 10_000
"""Deliveries from hosts whose clocks are ahead that are remembered."""

MAX_CLOSED = 5_000
"""Deliveries of one key that are looked at in one transaction."""

NO_LONGER_GROUPED = "The webhook no longer cancels runs, so nothing happened."


class Groups:
    """Any number may run at once, in any process."""

    def __init__(
        self,
        settings: Settings,
        *,
        now: Callable[[], datetime] = utc_now,
        on_due: Callable[[], None] = lambda: None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._max_bytes = settings.max_batch_bytes
        self._max_items = settings.max_conf_items
        self._now = now
        self._on_due = on_due
        self._pause = pause
        self._looked_at = float("-inf")
        self._after_webhook = ""
        self._after_key: dict[tuple[str, str], str] = {}
        self._seen: dict[str, datetime] = {}

    def look(self) -> bool:
        """Run one round; True while there may be more to do at once.

        :raises DatabaseUnavailable: the next round finds the same groups again
        """
        since = time.monotonic() - self._looked_at
        if since < LEAST_SECONDS:
            self._pause(LEAST_SECONDS - since)
        self._looked_at = time.monotonic()
        decided, has_more = self.decide()
        if decided:
            self._on_due()
        elif has_more:
            self._pause(PAUSE_FACTOR * (time.monotonic() - self._looked_at))
        return has_more

    def decide(self) -> tuple[int, bool]:
        """Look at a page of groups of each of some webhooks.

        Returns how many groups were decided about, and whether another look should follow at once.
        """
        find = partial(groups.grouped_webhooks, after=self._after_webhook, limit=WEBHOOKS)
        webhook_ids = autocommit(find)
        has_more = len(webhook_ids) == WEBHOOKS
        self._after_webhook = webhook_ids[-1] if has_more else ""
        decided = 0
        for webhook_id in webhook_ids:
            done, more = self._try_webhook(webhook_id)
            decided, has_more = decided + done, has_more or more or done > 0
        if len(self._seen) > MAX_SEEN:
            self._seen.clear()
        return decided, has_more

    def _try_webhook(self, webhook_id: str) -> tuple[int, bool]:
        try:
            return self._look_at(webhook_id)
        except DatabaseUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - one bad webhook must not stop the others
            log_unexpected_error(f"groups of {webhook_id}", error)
            return 0, False

    def _look_at(self, webhook_id: str) -> tuple[int, bool]:
        webhook = autocommit(partial(webhook_by_id, webhook_id=webhook_id))
        if webhook is None or not webhook.enabled or webhook.is_stopped:
            return 0, False
        decided, has_more = 0, False
        for state in State.GROUPED:
            page = self._page(webhook, state)
            has_more = has_more or len(page) == GROUPS
            # Most of the time nothing is ready, which must not take SQLite's write lock.
            ready = [group for group in page if self._is_ready(webhook, group)]
            if ready:
                decided += self._decide_ready(webhook, state, ready)
        return decided, has_more

    def _page(self, webhook: Webhook, state: str) -> list[Group]:
        place = (webhook.id, state)
        read = partial(
            groups.read_groups,
            webhook_id=webhook.id,
            state=state,
            after=self._after_key.pop(place, ""),
            limit=GROUPS,
            most=webhook.batch_size or 2,
            may_cancel=_may_cancel(webhook),
            may_replace=webhook.when_busy == CANCEL_RUNNING,
        )
        page = autocommit(read)
        if len(page) == GROUPS:
            self._after_key[place] = page[-1].group_key
        return page

    # --- whether a group is ready ------------------------------------------------------------

    def _is_ready(self, webhook: Webhook, group: Group) -> bool:
        if group.state != grouped_state(webhook):
            return True
        if group.state == State.BATCHED:
            return group.count >= (webhook.batch_size or 0) or self._is_over(
                group.first_id, group.first_at, webhook.batch_seconds
            )
        if group.state == State.SETTLING:
            return self._has_settled(webhook, group)
        return key_order.is_ready(webhook.when_busy, group)

    def _has_settled(self, webhook: Webhook, group: Group) -> bool:
        is_quiet = self._is_over(group.newest_id, group.newest_at, webhook.quiet_seconds)
        return is_quiet or self._is_over(group.first_id, group.first_at, webhook.at_most_seconds)

    def _is_over(self, delivery_id: str, received_at: datetime, seconds: int | None) -> bool:
        """Whether so much time has passed since a delivery was received.

        The clock of the host that received it may be ahead: then since it was first seen here.
        """
        now = self._now()
        if received_at > now:
            received_at = self._seen.setdefault(delivery_id, now)
        else:
            self._seen.pop(delivery_id, None)
        return received_at + timedelta(seconds=seconds or 0) <= now

    # --- what becomes of it ------------------------------------------------------------------

    def _decide_ready(self, webhook: Webhook, state: str, ready: list[Group]) -> int:
        """Decide about groups together, but cancel the runs of each key in a transaction of its own."""
        if state != State.IN_TURN:
            return self._decide(webhook.id, state, ready)
        # A run that cannot be cancelled must not keep other keys waiting.
        alone = [group for group in ready if group.cancels or webhook.when_busy == CANCEL_RUNNING]
        together = [group for group in ready if group not in alone]
        portions = [[group] for group in alone] + ([together] if together else [])
        return sum(self._decide(webhook.id, state, portion) for portion in portions)

    def _decide(self, webhook_id: str, state: str, ready: list[Group]) -> int:
        """Decide about groups in one transaction, if they are still ready once the webhook is locked."""
        counted: list[str] = []
        with session_transaction() as session:
            connection = session.connection()
            begin_writing(connection)
            is_locked = webhook_id in claims.lock_enabled(connection, [webhook_id])
            if not is_locked or not claims.try_lock_webhook(connection, webhook_id):
                return 0
            webhook = webhook_by_id(connection, webhook_id)
            if webhook is None:
                return 0
            most = MAX_DUE_BATCHES if state == State.BATCHED else MAX_DUE
            room = most - groups.count_due(connection, webhook_id, most)
            done = 0
            for each in ready:
                group = self._again(connection, webhook, each)
                if group is None:
                    continue
                is_turn = state == State.IN_TURN == grouped_state(webhook)
                if room <= 0 and not is_turn:
                    break
                if state != grouped_state(webhook):
                    used = self._let_go(connection, webhook_id, group, room)
                elif state == State.BATCHED:
                    used = self._close(connection, webhook, group, room)
                elif state == State.SETTLING:
                    used = self._settle(connection, webhook_id, group, counted)
                else:
                    turn = key_order.take_turn(session, webhook, group, self._now(), may_start=room > 0)
                    counted += turn.ended_in
                    used = turn.changed
                room, done = room - used, done + (used > 0)
        # Counted after the commit.
        for ended_in in counted:
            if BEHAVIOUR[ended_in].metric:
                metrics.count(BEHAVIOUR[ended_in].metric)
        return done

    def _again(self, connection: Connection, webhook: Webhook, group: Group) -> Group | None:
        """The group as it is under the lock, if it is still ready."""
        found = groups.find_group(
            connection,
            webhook.id,
            group.state,
            group.group_key,
            most=webhook.batch_size or 2,
            may_cancel=_may_cancel(webhook),
            may_replace=webhook.when_busy == CANCEL_RUNNING,
        )
        return found if found is not None and self._is_ready(webhook, found) else None

    def _let_go(self, connection: Connection, webhook_id: str, group: Group, room: int) -> int:
        """Make due what waits in a way that the webhook no longer has."""
        found = groups.members(connection, webhook_id, group.state, group.group_key, limit=room)
        ids = [member.id for member in found if not member.cancels]
        cancelling = [member.id for member in found if member.cancels]
        groups.release(connection, ids, self._now(), group_key=None, checked_dag_hash=None)
        groups.finish(connection, cancelling, State.SKIPPED, self._now(), error=NO_LONGER_GROUPED)
        return len(found)

    def _settle(self, connection: Connection, webhook_id: str, group: Group, counted: list[str]) -> int:
        older = groups.supersede_older(
            connection,
            webhook_id,
            group.state,
            group.group_key,
            newest_id=group.newest_id,
            at=self._now(),
        )
        groups.release(connection, [group.newest_id], self._now())
        counted += [State.SUPERSEDED] * older
        log.info("group settled action=settled delivery=%s superseded=%d", group.newest_id, older)
        return 1

    def _close(self, connection: Connection, webhook: Webhook, group: Group, room: int) -> int:
        """Close the batches of a key that are full, and the last one if its time is over."""
        size = webhook.batch_size or 1
        limit = size * max(1, min(room, MAX_CLOSED // size))
        waiting = groups.members(connection, webhook.id, group.state, group.group_key, limit=limit)
        closed, is_cut = 0, len(waiting) == limit
        while waiting and closed < room:
            if is_cut and closed and len(waiting) < size:
                break  # the next look sees how it goes on
            batch, is_full = self._first_batch(connection, waiting, size)
            if not is_full and not self._is_over(batch[0].id, batch[0].received_at, webhook.batch_seconds):
                break
            groups.close_batch(connection, [member.id for member in batch], self._now())
            log.info("batch closed action=batch_closed batch=%s deliveries=%d", batch[0].id, len(batch))
            waiting, closed = waiting[len(batch) :], closed + 1
        return closed

    def _first_batch(
        self, connection: Connection, waiting: list[Member], size: int
    ) -> tuple[list[Member], bool]:
        """The first deliveries that fit into one batch, and whether no further one would."""
        candidates = waiting[:size]
        left, fitting = self._max_bytes, 0
        for member in candidates:
            left -= member.size + 1
            if left < 0 and fitting:
                break
            fitting += 1
        some = candidates[:fitting]
        some = some[: self._fitting_items(connection, some)]
        return some, len(some) == size or len(some) < len(candidates)

    def _fitting_items(self, connection: Connection, some: list[Member]) -> int:
        """How many of these confs have few enough values together; at least one."""
        chars = sum(member.size for member in some)
        if chars // LEAST_CHARS_OF_A_VALUE <= self._max_items:
            return len(some)
        confs = groups.confs_of(connection, [member.id for member in some])
        left = self._max_items
        for position, member in enumerate(some):
            left -= count_conf_values(confs[member.id], self._max_items)
            if left < 0 and position:
                return position
        return len(some)


def _may_cancel(webhook: Webhook) -> bool:
    """Whether to look for events that cancel: where the newest event of a key runs, it must be none."""
    return webhook.cancel_on is not None or webhook.when_busy == CANCEL_RUNNING
