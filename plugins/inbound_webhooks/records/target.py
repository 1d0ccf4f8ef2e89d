"""What a webhook's deliveries start, and what the permissions on a webhook and its deliveries depend on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from inbound_webhooks.errors import InvalidDefinition
from inbound_webhooks.records.delivery import State
from inbound_webhooks.records.webhook import Draft, Webhook


class Target(NamedTuple):
    """A kind of target: the field that names it, and what it is in a sentence."""

    field: str
    noun: str


TARGETS = (
    Target("dag_id", "a DAG"),
    Target("asset", "an asset"),
    Target("waiting_dags", "DAGs that may wait for its events"),
    Target("routes", "webhooks that get its events"),
)
"""A webhook needs at least one of them."""

EXCLUSIVE = ("dag_id", "asset")
"""A webhook has at most one of them: a delivery starts one thing."""

_NOUNS = [target.noun for target in TARGETS]
NO_TARGET = f"a webhook needs a target: {', '.join(_NOUNS[:-1])} or {_NOUNS[-1]}"
ONE_LEVEL = "a webhook that gets its events from another one has no routes of its own"
VERIFIED_BY_SOURCE = "its events are verified by the webhook that they come from; leave it empty"
LISTS_OF_ROUTES = "a webhook with routes splits no list; its routes can"
TWO_TARGETS = "a webhook has a DAG or an asset, not both"
WAITED_FOR_AT_SOURCE = "tasks wait for the events of the webhook that they come from; name the DAGs there"
NOTHING_FOR_ITEMS = "each item starts a DAG or an asset event, and this webhook has neither"
NO_RUNS_TO_GROUP = "only runs of a DAG can be grouped; this webhook has no DAG"
NOTHING_TO_WAIT_FOR = "only the run of a DAG has a result; this webhook has no DAG"


def target_in_words(draft: Draft) -> str:
    """``DAG x`` or ``asset x``; empty where a webhook starts nothing by itself."""
    if draft.dag_id:
        return f"DAG {draft.dag_id}"
    return f"asset {draft.asset}" if draft.asset else ""


def dags_that_may_wait(webhook: Draft) -> tuple[str, ...]:
    """The DAGs whose tasks may wait for a webhook's events: its own one, unless it names others."""
    return tuple(webhook.waiting_dags) or ((webhook.dag_id,) if webhook.dag_id else ())


def needs_room(target: Any) -> bool:
    """Whether what a webhook, or a delivery, starts waits for room in Airflow's queue of runs.

    Of events without a partition key, however many, Airflow's scheduler makes one run of a DAG.
    """
    return target.asset is None or target.partition_key is not None


def serves_waits_only(target: Any) -> bool:
    """Whether a webhook, or a delivery, starts nothing by itself: its events only resume waiting tasks."""
    has_routes = getattr(target, "routes", None) or getattr(target, "state", None) == State.SPLIT
    return not (target.dag_id or target.asset or has_routes)


def target_problems(draft: Draft) -> Iterator[InvalidDefinition]:
    """What is wrong with the targets of a definition."""
    if not any(getattr(draft, target.field) for target in TARGETS):
        yield InvalidDefinition("dag_id", NO_TARGET)
    elif not draft.dag_id.strip() and draft.dag_id:
        yield InvalidDefinition("dag_id", "it is empty")
    if all(getattr(draft, name) for name in EXCLUSIVE):
        yield InvalidDefinition("asset", TWO_TARGETS)
    yield from _route_problems(draft)
    for name in ("batch_size", "latest_by", "one_at_a_time"):
        if not draft.dag_id and getattr(draft, name) is not None:
            yield InvalidDefinition(name, NO_RUNS_TO_GROUP)
    if not draft.dag_id and (draft.wait_seconds or draft.prefer_wait):
        yield InvalidDefinition("wait_seconds" if draft.wait_seconds else "prefer_wait", NOTHING_TO_WAIT_FOR)


def _route_problems(draft: Draft) -> Iterator[InvalidDefinition]:
    if draft.source is not None and draft.routes is not None:
        yield InvalidDefinition("routes", ONE_LEVEL)
    if draft.routes is not None and draft.each is not None:
        yield InvalidDefinition("each", LISTS_OF_ROUTES)
    if draft.source is not None and draft.waiting_dags:
        yield InvalidDefinition("waiting_dags", WAITED_FOR_AT_SOURCE)
    if draft.each is not None and not (draft.dag_id or draft.asset):
        yield InvalidDefinition("each", NOTHING_FOR_ITEMS)
    for name in ("verification", "handshake", "allowed_addresses"):
        if draft.source is not None and getattr(draft, name):
            yield InvalidDefinition(name, VERIFIED_BY_SOURCE)


@dataclass(frozen=True)
class Subject:
    """What the permissions on a webhook, or on a delivery, depend on: on all of these together.

    Without any, they depend on the permissions on webhooks alone.
    """

    dag_ids: tuple[str, ...] = ()
    asset: str | None = None

    def right(self, dag: str = "DAG") -> str:
        """The right that changing needs, as it follows "the permission".

        :param dag: how the reader writes DAG; pages write Dag
        """
        if self.asset is not None:
            return f"to create events of the asset {self.asset}"
        if not self.dag_ids:
            return "to edit webhooks"
        if self == EVERY_DAG:
            return f"to trigger every {dag}"
        return f"to trigger the {dag if len(self.dag_ids) == 1 else f'{dag}s'} {', '.join(self.dag_ids)}"


EVERY_DAG = Subject(("*",))
"""No DAG can have this id, so that only a permission on all DAGs applies.

Without an id, FabAuthManager says whether the user may list DAGs, for which a permission on one is enough.
"""


def subject_of(draft: Draft) -> Subject:
    """What the permissions on a webhook depend on."""
    if draft.dag_id:
        return Subject((draft.dag_id,))
    if draft.asset is None and draft.waiting_dags:
        return Subject(tuple(draft.waiting_dags))
    return Subject(asset=draft.asset)


def basis_of(webhook: Webhook) -> tuple[Subject, str | None]:
    """What a permission on a webhook was checked for; a change of it needs another check."""
    return subject_of(webhook), webhook.team


class Origin(NamedTuple):
    """What tells who may see a row: its DAG or, where it has none, the id of its webhook."""

    dag_id: str
    webhook_id: str = ""


def origin(dag_id: str, webhook_id: str) -> Origin:
    """The origin of a row with these columns."""
    return Origin(dag_id) if dag_id else Origin("", webhook_id)
