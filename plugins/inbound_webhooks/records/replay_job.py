"""A replay of many deliveries, and what became of each of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from inbound_webhooks.records.delivery import new_delivery_id


class JobState:
    """The states of a replay job."""

    RUNNING = "running"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


class ItemState:
    """The states of a delivery in a replay job."""

    WAITING = "waiting"
    REPLAYED = "replayed"
    REFUSED = "refused"
    SKIPPED = "skipped"

    ALL = (WAITING, REPLAYED, REFUSED, SKIPPED)


@dataclass(frozen=True, kw_only=True)
class ReplayJob:
    """A job as stored.

    :param actor: the name of the user who asked for it
    :param is_checked: whether this user's permissions are checked for each delivery; False for an operator
        with a shell
    :param claims: the user as the auth manager stores it in a token; None when the job has ended
    :param conditions: JSON list of the filter's pairs; empty where the deliveries were selected one by one
    :param dag_ids: JSON list of the DAGs of the deliveries; "" for those without a DAG
    """

    id: str = field(default_factory=new_delivery_id)
    state: str = JobState.RUNNING
    created_at: datetime
    actor: str
    is_checked: bool
    claims: str | None
    conditions: str
    remap: bool
    total: int
    dag_ids: str
    next_at: datetime
    finished_at: datetime | None = None

    @property
    def is_running(self) -> bool:
        """Whether deliveries may still be replayed."""
        return self.state == JobState.RUNNING


@dataclass(frozen=True, kw_only=True)
class ReplayItem:
    """A delivery of a job; ``replay_id`` is the new delivery, ``reason`` says why there is none."""

    delivery_id: str
    webhook_id: str
    state: str = ItemState.WAITING
    replay_id: str | None = None
    reason: str | None = None
