"""A stored delivery as the event that tasks wait for: which waits it matches, and what it means for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from inbound_webhooks.deliveries.stored_request import content_of, headers_of
from inbound_webhooks.errors import ContentRefused, RequestError, ResultRefused, ResultTooLarge
from inbound_webhooks.event.data_sources import DataSources
from inbound_webhooks.event.expressions.budget import Budget
from inbound_webhooks.event.request import InboundRequest
from inbound_webhooks.event.task_wait import outcome_of
from inbound_webhooks.event.verification.registry import credential_names, read_scheme
from inbound_webhooks.event.wait_match import Comparison, is_true
from inbound_webhooks.records.delivery import Delivery
from inbound_webhooks.records.webhook import Webhook
from inbound_webhooks.settings import Settings
from inbound_webhooks.storage.matched_waits import Candidate


@dataclass
class Outcomes:
    """What an event means for the waits that it matches.

    ``of_waits`` is wait id -> outcome as JSON text, ``alone`` the id of the one among them that has no
    broadcast, ``refusals`` wait id -> why the event cannot be used for it.
    """

    of_waits: dict[str, str] = field(default_factory=dict)
    alone: str | None = None
    refusals: dict[str, str] = field(default_factory=dict)


class AwaitedEvent:
    """One event; credentials are masked, as they are stored."""

    def __init__(self, webhook: Webhook, delivery: Delivery, settings: Settings) -> None:
        self.delivery = delivery
        self._webhook = webhook
        self._work = settings.max_expression_work
        self._max_body_bytes = settings.max_body_bytes
        self._sources: DataSources | None = None

    def sources(self) -> DataSources | None:
        """What expressions read, with a fresh budget; None where the body was not stored, or is unusable."""
        if self._sources is None and self.delivery.body_stored:
            try:
                self._sources = self._read()
            except RequestError:
                return None
        if self._sources is not None:
            self._sources.budget = Budget(self._work)
        return self._sources

    def _read(self) -> DataSources:
        delivery = self.delivery
        request = InboundRequest(
            method="POST",
            query_string=delivery.query_string,
            headers=tuple(headers_of(delivery)),
            body=delivery.body,
            source_ip=delivery.source_ip,
            received_at=delivery.received_at,
        )
        sources = DataSources(
            request,
            content_of(delivery, self._max_body_bytes),
            delivery_id=delivery.id,
            webhook=self._webhook.name,
            credential_names=credential_names(tuple(map(read_scheme, self._webhook.verification))),
        )
        sources.event_type = delivery.event_type or ""
        return sources

    def keys(self, comparison: Comparison) -> set[str]:
        """The hashes of the waits that it matches."""
        sources = self.sources()
        return set() if sources is None else comparison.keys(sources)

    def matching(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """The candidates whose condition is true too."""
        both = {each.match_expression or "" for each in candidates if each.match_paths is not None} - {""}
        true = {""}
        for condition in both:
            if (sources := self.sources()) is not None:
                sources.budget = Budget(self._work // len(both))
                if is_true(condition, sources):
                    true.add(condition)
        return [
            each for each in candidates if each.match_paths is None or (each.match_expression or "") in true
        ]

    def outcomes(self, candidates: Sequence[Candidate]) -> Outcomes:
        """What it means for waits; of those without broadcast, for the first one that can use it."""
        found = Outcomes()
        shares = len({(each.result, each.fail_when) for each in candidates})
        known: dict[tuple[str | None, str | None], tuple[str, bool]] = {}
        for each in candidates:
            if not each.broadcast and found.alone is not None:
                continue
            expressions = (each.result, each.fail_when)
            if expressions not in known:
                known[expressions] = self._outcome(*expressions, work=self._work // shares)
            text, is_usable = known[expressions]
            if not is_usable:
                found.refusals[each.id] = text
                continue
            found.of_waits[each.id] = text
            if not each.broadcast:
                found.alone = each.id
        return found

    def _outcome(self, result: str | None, fail_when: str | None, *, work: int) -> tuple[str, bool]:
        """The outcome and True, or why there is none and False."""
        sources = self.sources()
        assert sources is not None
        sources.budget = Budget(work)
        try:
            return outcome_of(sources, result=result, fail_when=fail_when), True
        except (ContentRefused, ResultRefused, ResultTooLarge) as error:
            return error.message, False
