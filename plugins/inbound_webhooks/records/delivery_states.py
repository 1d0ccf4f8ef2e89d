"""How deliveries behave in each state, so that a new state has an answer to each question."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from inbound_webhooks.records.delivery import State


@dataclass(frozen=True)
class Behaviour:
    """The answers of a state.

    ``is_final``: nothing more is done, and the retention deletes the delivery.
    ``is_rescheduled``: the correction of clock skew makes it due.
    ``in_backlog``: it counts in the limits on waiting deliveries, of its webhook and of all.
    ``in_health``: it counts in the backlog and the age that health and metrics report.
    ``is_deduplicated``: another event with its deduplication key is a duplicate.
    ``metric``: counted when it gets there; empty for none.
    ``retries_end_in``: its state once the retry horizon is over; None where nothing is retried, or for ever.
    ``mail``: the kind of mail that its recipients get; empty for none.
    ``deletion_leads_to``: its state after its webhook was deleted; None where that changes nothing.
    """

    is_final: bool
    is_rescheduled: bool
    in_backlog: bool
    in_health: bool
    is_deduplicated: bool
    metric: str
    retries_end_in: str | None = None
    mail: str = ""
    deletion_leads_to: str | None = None


# fmt: off
BEHAVIOUR: Mapping[str, Behaviour] = {
    #                              final  resch. backlog health dedup. metric
    State.REFUSED:       Behaviour(True,  False, False, False, True, "rejected.<reason>"),
    State.FILTERED:      Behaviour(True,  False, False, False, True, "filtered"),
    State.ACCEPTED:      Behaviour(False, True,  True,  True,  True, "accepted",
                                   retries_end_in=State.UNDELIVERABLE, deletion_leads_to=State.CANCELLED),
    State.DISPATCHED:    Behaviour(False, False, False, False, True, "dispatched"),
    State.SUCCEEDED:     Behaviour(True,  False, False, False, True, "outcome.succeeded", mail="success"),
    State.FAILED:        Behaviour(True,  False, False, False, True, "outcome.failed", mail="failure"),
    State.UNDELIVERABLE: Behaviour(True,  False, False, False, True, "outcome.undeliverable", mail="failure"),
    State.CANCELLED:     Behaviour(True,  False, False, False, True, ""),
    State.HELD:          Behaviour(False, False, False, False, True, "held",
                                   deletion_leads_to=State.CANCELLED),
    State.BATCHED:       Behaviour(False, False, False, False, True, "batched",
                                   deletion_leads_to=State.CANCELLED),
    State.SETTLING:      Behaviour(False, False, False, False, True, "settling",
                                   deletion_leads_to=State.CANCELLED),
    State.IN_TURN:       Behaviour(False, False, False, False, True, "in_turn",
                                   deletion_leads_to=State.CANCELLED),
    State.SPLIT:         Behaviour(True,  False, False, False, True, "split"),
    State.SUPERSEDED:    Behaviour(True,  False, False, False, True, "outcome.superseded"),
    State.SKIPPED:       Behaviour(True,  False, False, False, True, "outcome.skipped"),
    State.UNMATCHED:     Behaviour(True,  False, False, False, True, "outcome.unmatched"),
}
"""Of the deliveries of webhooks."""

# They have no webhook to wait for, and are retried until their task cannot be resumed any more.
BEHAVIOUR_OF_CALLS: Mapping[str, Behaviour] = {
    State.ACCEPTED:      Behaviour(False, False, False, False, True, "accepted"),
    State.SUCCEEDED:     Behaviour(True,  False, False, False, True, "outcome.succeeded"),
    State.FAILED:        Behaviour(True,  False, False, False, True, "outcome.failed"),
    State.CANCELLED:     Behaviour(True,  False, False, False, True, "outcome.cancelled"),
}
"""Of the calls of waiting tasks."""
# fmt: on
