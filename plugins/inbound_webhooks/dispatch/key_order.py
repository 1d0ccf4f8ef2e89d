"""One active run of a key at a time: which delivery is next, and which ones end for it.

A replay repeats an old event, so it neither cancels nor supersedes what came after that; it waits for its
turn. It is not superseded while it waits either, since a user has asked for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection
from sqlalchemy.orm import Session

from inbound_webhooks.airflow_bridge.run_cancellation import Cancelled, cancel_run
from inbound_webhooks.event.sizes import CANCEL_RUNNING, QUEUE, SKIP
from inbound_webhooks.records.delivery import State
from inbound_webhooks.records.webhook import Webhook
from inbound_webhooks.storage import groups
from inbound_webhooks.storage.groups import Active, Group, Member

MAX_WAITING = 500
"""Deliveries of a key that are looked at in one transaction."""

SKIPPED = "A run of its key was active."
NEWER_RUNS = "A newer event of its key runs instead."
CANCELLED = "An event cancelled it before its run was created."
RUN_CANCELLED = "A later event of its key cancelled its run."


@dataclass
class Turn:
    """What has been done: how many deliveries changed, and the states in which some have ended."""

    changed: int = 0
    ended_in: list[str] = field(default_factory=list)

    def note(self, state: str, count: int) -> None:
        """Count deliveries that have ended in a state."""
        self.changed += count
        self.ended_in += [state] * count


def is_ready(when_busy: str, group: Group) -> bool:
    """Whether something can be done for a group of which one delivery runs at a time."""
    if group.cancels or not group.is_busy or when_busy == SKIP:
        return True
    if when_busy != CANCEL_RUNNING or group.newest_event_id is None:
        return False
    # The run that is being cancelled has not ended: there is nothing to do but for older events.
    return group.is_left or group.first_event_id != group.newest_event_id


def take_turn(session: Session, webhook: Webhook, group: Group, now: datetime, *, may_start: bool) -> Turn:
    """Decide about the deliveries of a key; the caller has locked the webhook.

    :param may_start: whether one may become due
    """
    connection = session.connection()
    waiting = groups.members(connection, webhook.id, group.state, group.group_key, limit=MAX_WAITING)
    turn, cancelling = Turn(), next((each for each in waiting if each.cancels), None)
    if cancelling is None and group.cancels and webhook.when_busy == CANCEL_RUNNING:
        cancelling = groups.first_cancelling(connection, webhook.id, group.state, group.group_key)
    if cancelling is not None:
        _cancel_key(session, webhook, group, waiting, cancelling, now, turn)
    elif webhook.when_busy == CANCEL_RUNNING:
        _replace(session, webhook, group, now, turn, may_start=may_start)
    elif webhook.when_busy == QUEUE or not group.is_busy:
        if may_start and not group.is_busy:
            _start(connection, waiting[0].id, now, turn)
            if webhook.when_busy == SKIP:
                _skip(connection, waiting[1:], now, turn)
    else:
        _skip(connection, waiting, now, turn)
    return turn


def _start(connection: Connection, delivery_id: str, now: datetime, turn: Turn) -> None:
    groups.release(connection, [delivery_id], now)
    turn.changed += 1


def _skip(connection: Connection, members: Sequence[Member], now: datetime, turn: Turn) -> None:
    groups.finish(connection, [each.id for each in members], State.SKIPPED, now, error=SKIPPED)
    turn.note(State.SKIPPED, len(members))


def _cancel_key(
    session: Session,
    webhook: Webhook,
    group: Group,
    waiting: Sequence[Member],
    cancelling: Member,
    now: datetime,
    turn: Turn,
) -> None:
    """Cancel what waits or runs before an event that cancels.

    :param waiting: the first deliveries of the group; where all of them came before, more may follow
    """
    connection = session.connection()
    came_at = cancelling.id if cancelling.replay_of is None else groups.original_of(connection, cancelling.id)
    before = [each.id for each in waiting if each.id < came_at and not each.cancels]
    ended = _End(session, webhook, group, cancelling.id, State.CANCELLED, CANCELLED, now, came_at=came_at)
    ended.those(before)
    if len(before) == MAX_WAITING:
        turn.note(State.CANCELLED, ended.waiting)  # it has its turn later
        return
    if not ended.active():
        # A dispatcher is creating a run at this moment: the next round cancels it.
        turn.note(State.CANCELLED, ended.waiting + ended.ended)
        return
    sentence = f"It started nothing. {ended.sentence}"
    groups.finish(connection, [cancelling.id], State.SKIPPED, now, error=sentence)
    turn.note(State.CANCELLED, ended.waiting + ended.ended)
    turn.note(State.SKIPPED, 1)


def _replace(
    session: Session, webhook: Webhook, group: Group, now: datetime, turn: Turn, *, may_start: bool
) -> None:
    """Let the newest event run, once what ran or was to run before is cancelled and has ended.

    Replays have their turn where no event waits and nothing runs.
    """
    connection, newest = session.connection(), group.newest_event_id
    if newest is None:
        if may_start and not group.is_busy:
            _start(connection, group.first_id, now, turn)
        return
    active = _active(connection, webhook, group)
    later = [each.id for each in active if each.id > newest and each.replay_of is None]
    if later:
        # It was stored after a newer one had its turn.
        groups.finish(connection, [newest], State.SUPERSEDED, now, superseded_by=later[-1], error=NEWER_RUNS)
        turn.note(State.SUPERSEDED, 1)
        return
    older = groups.supersede_older(
        connection, webhook.id, group.state, group.group_key, newest_id=newest, at=now
    )
    turn.note(State.SUPERSEDED, older)
    ended = _End(session, webhook, group, newest, State.SUPERSEDED, NEWER_RUNS, now, or_replays=True)
    ended.active()
    turn.note(State.SUPERSEDED, ended.waiting)
    turn.note(State.CANCELLED, ended.ended)
    if may_start and not _active(connection, webhook, group):
        _start(connection, newest, now, turn)


def _active(connection: Connection, webhook: Webhook, group: Group) -> list[Active]:
    return groups.active_of_key(connection, webhook.id, group.group_key, limit=MAX_WAITING)


@dataclass
class _End:
    """Ends, on behalf of a delivery, those of its key that came before it.

    Those without a run end in ``state``; the runs of the others are cancelled.
    ``came_at`` is the id of the event that it repeats, its own without one; ``or_replays``: a replay came
    before it as well, whatever its id.
    """

    session: Session
    webhook: Webhook
    group: Group
    by: str
    state: str
    reason: str
    now: datetime
    came_at: str | None = None
    or_replays: bool = False
    waiting: int = 0
    stopped: int = 0
    ended: int = 0

    @property
    def sentence(self) -> str:
        """What was cancelled."""
        runs, waiting = self.stopped, self.waiting
        if not runs and not waiting:
            return "There was nothing to cancel."
        return (
            f"It cancelled {runs} run{'' if runs == 1 else 's'} and {waiting} waiting "
            f"deliver{'y' if waiting == 1 else 'ies'} of its key."
        )

    def those(self, ids: Sequence[str]) -> None:
        """End deliveries without a run."""
        named = {"superseded_by" if self.state == State.SUPERSEDED else "cancelled_by": self.by}
        groups.finish(self.session.connection(), ids, self.state, self.now, error=self.reason, **named)
        self.waiting += len(ids)

    def active(self) -> bool:
        """End those that are due or run; False where another transaction has locked some of them."""
        connection = self.session.connection()
        before = list(filter(self._is_before, _active(connection, self.webhook, self.group)))
        locked = groups.lock_active(connection, self.webhook.id, self.group.group_key, limit=MAX_WAITING)
        mine = list(filter(self._is_before, locked))
        self.those([each.id for each in mine if each.state == State.ACCEPTED])
        for each in mine:
            if each.state == State.DISPATCHED and each.cancelled_by is None:
                self._stop(each)
        return len(mine) == len(before)

    def _is_before(self, active: Active) -> bool:
        is_replay = self.or_replays and active.replay_of is not None
        return is_replay or active.id < (self.came_at or self.by)

    def _stop(self, active: Active) -> None:
        """Cancel a run; its delivery ends with it, now or when the run's teardown tasks are done."""
        connection = self.session.connection()
        done = cancel_run(self.session, active.dag_id, active.run_id or "")
        if done is Cancelled.TOO_LATE:
            return  # the run tracker records how it has ended, and the key is free then
        self.stopped += 1
        if done is Cancelled.ENDED:
            values = {"error": RUN_CANCELLED, "cancelled_by": self.by}
            groups.finish(connection, [active.id], State.CANCELLED, self.now, **values)
            self.ended += 1
        else:
            groups.note_cancellation(connection, active.id, self.by)
