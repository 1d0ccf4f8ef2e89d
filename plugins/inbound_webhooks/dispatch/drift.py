"""Detects mappings that no longer fit their DAG after it has changed, and notifies once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial

from sqlalchemy.exc import IntegrityError

from inbound_webhooks.airflow_bridge.dag_cache import CachedDag, DagCache, startable
from inbound_webhooks.errors import DatabaseUnavailable, Problem
from inbound_webhooks.event.conf.of_batch import of_one_event
from inbound_webhooks.event.conf.problems import conf_problems, mapping_problems
from inbound_webhooks.event.grouping import BATCHED, grouped_state
from inbound_webhooks.monitoring import metrics
from inbound_webhooks.monitoring.clock import utc_now
from inbound_webhooks.monitoring.log_lines import get_logger
from inbound_webhooks.monitoring.loop import attempt, log_unexpected_error
from inbound_webhooks.records.webhook import Webhook
from inbound_webhooks.settings import Settings
from inbound_webhooks.storage import drifts
from inbound_webhooks.storage.database import begin_writing, in_transaction, transaction
from inbound_webhooks.storage.drifts import Changed, Drift
from inbound_webhooks.storage.mails import MailState, write_drift_mails

log = get_logger(__name__)

LOOK_SECONDS = 30.0
BATCH_SIZE = 100
"""Webhooks that one query reads."""

CONFS = 20
"""Confs of past deliveries that are checked against new params."""


class DriftWatcher:
    """Any number may run at once: a result that one of them has stored, the others skip."""

    def __init__(self, settings: Settings, *, now: Callable[[], datetime] = utc_now) -> None:
        self._operators = [part.strip() for part in settings.operator_emails.split(",") if part.strip()]
        self._now = now
        # No time to recheck: a new version is exactly what this looks for.
        self._dags = DagCache(recheck_seconds=0)

    def look(self) -> int:
        """Check every webhook that has changed, or whose DAG has; return how many results were stored.

        :raises DatabaseUnavailable: the remaining webhooks are checked in the next round
        """
        done, after = 0, ""
        while True:
            with transaction() as connection:
                changed = drifts.changed_webhooks(connection, after=after, limit=BATCH_SIZE)
            if not changed:
                return done
            # One webhook that cannot be checked does not keep the others from it.
            done += sum(attempt("drift", partial(self._check, one), False) for one in changed)
            after = changed[-1].webhook.id

    def _check(self, changed: Changed) -> bool:
        try:
            return self._save(changed, self._find_drift(changed))
        except IntegrityError:
            return False  # the webhook was deleted meanwhile

    def _find_drift(self, changed: Changed) -> Drift:
        webhook = changed.webhook
        before = changed.before if changed.is_same_mapping else None
        since = before.since if before else webhook.updated_at
        dag = self._dag(changed)
        # A DAG that is missing, unreadable or another team's neither breaks a mapping nor repairs it.
        problems = self._problems(webhook, dag, since) if dag else before.problems if before else ()
        return Drift(
            webhook_id=webhook.id,
            dag_hash=dag.dag_hash if dag else changed.dag_hash,
            version=webhook.version,
            mapping_hash=drifts.mapping_hash(webhook),
            since=since,
            problems=tuple(problems),
        )

    def _dag(self, changed: Changed) -> CachedDag | None:
        if not changed.dag_hash:
            return None
        try:
            dag = self._dags.get(changed.webhook.dag_id, in_transaction)
            return startable(dag, changed.webhook)
        except DatabaseUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - one unreadable DAG must not stop the others' checks
            log_unexpected_error(f"drift of {changed.webhook.id}", error)
            return None

    def _problems(self, webhook: Webhook, dag: CachedDag, since: datetime) -> list[Problem]:
        # With batches, mapping and past confs are those of one event.
        is_batch = grouped_state(webhook) == BATCHED
        params = (of_one_event(dag.params) if is_batch else dag.params) or {}
        found = mapping_problems(webhook.mapping, params)
        # Past confs show what the mapping alone cannot: which types its expressions produce.
        with transaction() as connection:
            confs = drifts.last_confs(connection, webhook, since, CONFS)
        named = {problem.part for problem in found}
        return found + [problem for problem in conf_problems(confs, params) if problem.part not in named]

    def _save(self, changed: Changed, found: Drift) -> bool:
        new_problems = self._new_problems(changed, found)
        recipients = changed.webhook.notify_failure or self._operators
        with transaction() as connection:
            # Result and mails in one transaction: only the dispatcher that stores the result notifies.
            begin_writing(connection)
            if not drifts.save_drift(connection, found, changed.before):
                return False
            facts = {
                "dag_id": changed.webhook.dag_id,
                "problems": [drifts.stored_problem(problem) for problem in found.problems],
            }
            at = self._now()
            notified = recipients if new_problems else ()
            written = write_drift_mails(connection, changed.webhook, notified, facts, at)
        metrics.count(f"mails.{MailState.WAITING}", written)
        for problem in new_problems:
            log.warning(
                "mapping broken action=drift webhook=%s dag=%s parameter=%s",
                changed.webhook.id,
                changed.webhook.dag_id,
                problem.part,
            )
        return True

    def _new_problems(self, changed: Changed, found: Drift) -> list[Problem]:
        """Problems that the DAG's new version has caused; problems of a change were shown to its author."""
        before, webhook = changed.before, changed.webhook
        if not webhook.enabled:
            return []
        # Not checked since the mapping changed: only a DAG written after that change is to blame.
        if before is None or not changed.is_same_mapping:
            written = changed.dag_written_at
            is_newer = written is not None and written > webhook.updated_at
            return [problem for problem in found.problems if is_newer and problem.stops]
        known = {(problem.part, problem.stops) for problem in before.problems}
        return [problem for problem in found.problems if (problem.part, problem.stops) not in known]
