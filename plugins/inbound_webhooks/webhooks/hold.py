"""Puts webhooks on hold and releases them, one or all.

A webhook on hold verifies, deduplicates, answers handshakes and stores its deliveries, and starts nothing.
Once a hold has returned, no run of the webhook is created: the change waits for every dispatcher that is
creating one, and raises the version, so that requests that were judged before are judged again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from inbound_webhooks.errors import DefinitionError
from inbound_webhooks.monitoring.clock import utc_now
from inbound_webhooks.records.hold import NOT_A_WINDOW, Hold, TimeWindow
from inbound_webhooks.records.webhook import Webhook
from inbound_webhooks.records.webhook_fields import MAX_LIMIT
from inbound_webhooks.storage import holds
from inbound_webhooks.storage.audit_log import write_audit_entry
from inbound_webhooks.storage.database import begin_writing, transaction
from inbound_webhooks.storage.webhooks import list_webhooks
from inbound_webhooks.webhooks import service
from inbound_webhooks.webhooks.access import Access

AT_ONCE = 100
"""Webhooks that one transaction changes: requests of these wait for it."""


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How held deliveries go on: at most so many a minute, and within a window; None for no limit."""

    per_minute: int | None = None
    window: str | None = None

    def check(self) -> None:
        """:raises DefinitionError: it is no pace"""
        if self.per_minute is not None and not 1 <= self.per_minute <= MAX_LIMIT:
            raise DefinitionError(f"The rate must be between 1 and {MAX_LIMIT:,} deliveries a minute.")
        if self.window is not None and TimeWindow.parse(self.window) is None:
            raise DefinitionError(f"{self.window!r} cannot be used: {NOT_A_WINDOW}.")


AT_FULL_PACE = Pace()


@dataclass(frozen=True, kw_only=True)
class HeldAll:
    """What a hold or a release of all webhooks did.

    ``not_permitted``: names of webhooks that the user may see and not change; ``hides_others``: there are
    more of them, which the user may not see. ``own``: names of webhooks that stay on hold, since they were
    put on hold by themselves. ``covers_new``: whether webhooks that are created from now on are on hold too.
    """

    changed: int
    not_permitted: Sequence[str] = ()
    hides_others: bool = False
    own: Sequence[str] = ()
    covers_new: bool = False

    @property
    def sentences(self) -> list[str]:
        """What the user has to know beside the number of changed webhooks."""
        found = []
        if self.not_permitted:
            found.append(f"You may not change {', '.join(self.not_permitted)}.")
        if self.hides_others:
            found.append("Webhooks that you may not see were left as they are.")
        if self.own:
            found.append(f"On hold by themselves: {', '.join(self.own)}.")
        return found


def hold(name_or_id: str, *, actor: str, checked: Webhook | None = None) -> Webhook:
    """Put a webhook on hold; once this returns, it starts nothing.

    :param checked: as in :func:`service.change`
    :raises WebhookChanged: its DAG or team has changed since the permission was checked
    """
    values = {"hold": Hold.HELD, "release_per_minute": None, "release_window": None}
    return service.set_state(name_or_id, values, event="webhook.hold", actor=actor, checked=checked)


def release(
    name_or_id: str, *, actor: str, pace: Pace = AT_FULL_PACE, checked: Webhook | None = None
) -> Webhook:
    """End the hold of a webhook: its held deliveries go on in their order, and new ones behind them.

    A hold of all webhooks ends for this one too.

    :param checked: as in :func:`service.change`
    :raises DefinitionError: the pace is none
    :raises WebhookChanged: its DAG or team has changed since the permission was checked
    """
    pace.check()
    return service.set_state(
        name_or_id, _released(pace), event="webhook.release", actor=actor, checked=checked, details=vars(pace)
    )


def hold_all(*, actor: str, access: Access | None = None) -> HeldAll:
    """Put all webhooks on hold that the user may change.

    Where the user may change all webhooks of all targets, those that are created later are on hold too.

    :param access: the user's, who may edit the view; None for operators with a shell
    """
    refused = _refused(access)
    covers_new = _covers_new(access, refused)
    with transaction() as connection:
        begin_writing(connection)
        if covers_new:
            # Creations wait for this, so each webhook is stored before the walk below or sees the hold.
            holds.lock_hold_of_all(connection)
            holds.insert_hold_of_all(connection, actor=actor, at=utc_now())
    changed = _change_all(lambda each: not each.held_by_all and each.id not in refused, _hold_each)
    _audit("webhook.hold_all", actor, changed=changed, left=len(refused))
    return HeldAll(changed=changed, covers_new=covers_new, **_left(refused))


def release_all(*, actor: str, pace: Pace = AT_FULL_PACE, access: Access | None = None) -> HeldAll:
    """End the hold of all webhooks; a webhook that was put on hold by itself stays on hold.

    :param access: as in :func:`hold_all`
    :raises DefinitionError: the pace is none
    """
    pace.check()
    refused = _refused(access)
    covers_new = _covers_new(access, refused)
    with transaction() as connection:
        begin_writing(connection)
        if covers_new:
            holds.lock_hold_of_all(connection)
            holds.delete_hold_of_all(connection)

    def release_each(connection: Connection, webhooks: Sequence[Webhook], at: datetime) -> None:
        own = [each.id for each in webhooks if each.hold == Hold.HELD]
        others = [each.id for each in webhooks if each.hold != Hold.HELD]
        holds.set_holds(connection, own, {"held_by_all": False}, at)
        holds.set_holds(connection, others, _released(pace), at)

    changed = _change_all(lambda each: each.held_by_all and each.id not in refused, release_each)
    _audit("webhook.release_all", actor, changed=changed, left=len(refused))
    with transaction() as connection:
        held = [
            each for each in list_webhooks(connection) if each.hold == Hold.HELD and each.id not in refused
        ]
        is_on = holds.hold_of_all(connection) is not None
    own = [each.name for each in held]
    return HeldAll(changed=changed, own=own, covers_new=is_on, **_left(refused))


def end_release(webhook_id: str) -> bool:
    """End a release whose deliveries have all gone on: new deliveries start at once again."""
    with transaction() as connection:
        begin_writing(connection)
        # Inserts of held deliveries have committed before this lock, and later ones see the new version.
        for webhook in holds.locked_webhooks(connection, [webhook_id]):
            if webhook.hold == Hold.RELEASING and not holds.has_held(connection, webhook_id):
                values = {"hold": None, "release_per_minute": None, "release_window": None}
                holds.set_holds(connection, [webhook_id], values, utc_now())
                holds.forget_pace(connection, webhook_id)
                return True
    return False


def _released(pace: Pace) -> dict[str, object]:
    return {
        "hold": Hold.RELEASING,
        "held_by_all": False,
        "release_per_minute": pace.per_minute,
        "release_window": pace.window,
    }


def _refused(access: Access | None) -> dict[str, str | None]:
    """Id -> name of the webhooks that the user may not change, None where the user may not see them.

    Read before any lock, as permissions are.
    """
    if access is None:
        return {}
    with transaction() as connection:
        found = list_webhooks(connection)
    refused = [each for each in found if not access.may_change(each)]
    return {each.id: each.name if access.may_see(each) else None for each in refused}


def _covers_new(access: Access | None, refused: dict[str, str | None]) -> bool:
    """Whether a hold or a release is for webhooks of others, too, which may have any target."""
    return not refused and (access is None or access.may_change_every)


def _left(refused: dict[str, str | None]) -> dict[str, Any]:
    names = [name for name in refused.values() if name is not None]
    return {"not_permitted": sorted(names), "hides_others": len(refused) > len(names)}


def _hold_each(connection: Connection, webhooks: Sequence[Webhook], at: datetime) -> None:
    holds.set_holds(connection, [each.id for each in webhooks], {"held_by_all": True}, at)


def _change_all(
    is_wanted: Callable[[Webhook], bool],
    change: Callable[[Connection, Sequence[Webhook], datetime], None],
) -> int:
    """Change webhooks in small transactions, in the order of their ids; return how many."""
    changed, after = 0, ""
    while True:
        with transaction() as connection:
            begin_writing(connection)
            ids = holds.webhook_ids(connection, after=after, limit=AT_ONCE)
            if not ids:
                return changed
            after = max(ids)
            wanted = [each for each in holds.locked_webhooks(connection, ids) if is_wanted(each)]
            change(connection, wanted, utc_now())
            changed += len(wanted)


def _audit(event: str, actor: str, *, changed: int, left: int) -> None:
    if not changed and left:
        return  # the user may change nothing that there is
    details = {"changed": changed, "not_permitted": left}
    with transaction() as connection:
        write_audit_entry(connection, event=event, dag_id=None, actor=actor, at=utc_now(), details=details)
