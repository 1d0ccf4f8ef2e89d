"""Notices when a new version of a DAG breaks a webhook's mapping, and has it told once."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime

from sqlalchemy.exc import IntegrityError

from inbound_webhooks.airflow_bridge.dag_cache import CachedDag, DagCache
from inbound_webhooks.errors import DatabaseUnavailable, Problem
from inbound_webhooks.event.clock import utc_now
from inbound_webhooks.event.conf.problems import conf_problems, mapping_problems
from inbound_webhooks.monitoring import metrics
from inbound_webhooks.monitoring.loop import log_unexpected_error
from inbound_webhooks.records.webhook import Webhook
from inbound_webhooks.settings import Settings
from inbound_webhooks.storage import drifts
from inbound_webhooks.storage.database import begin_writing, in_transaction, transaction
from inbound_webhooks.storage.drifts import Changed, Drift
from inbound_webhooks.storage.mails import MailState, write_drift_mails

log = logging.getLogger(__name__)

LOOK_SECONDS = 30.0
BATCH_SIZE = 100
"""Webhooks that are read at once."""

CONFS = 20
"""Confs of before that are held against new params."""


class DriftWatcher:
    """Any number may run at once: what one of them has written down, the others leave."""

    def __init__(self, settings: Settings, *, now: Callable[[], datetime] = utc_now) -> None:
        self._operators = [part.strip() for part in settings.operator_emails.split(",") if part.strip()]
        self._now = now
        self._dags = DagCache(recheck_seconds=0)

    def look(self) -> int:
        """Look at each webhook that has changed, or whose DAG has; return how many that were.

        :raises DatabaseUnavailable: the rest is looked at the next time
        """
        done, after = 0, ""
        while True:
            with transaction() as connection:
                changed = drifts.changed_webhooks(connection, after=after, limit=BATCH_SIZE)
            if not changed:
                return done
            done += sum(self._look_at(one) for one in changed)
            after = changed[-1].webhook.id

    def _look_at(self, changed: Changed) -> bool:
        """Whether it was written down by us; somebody may be faster, or delete the webhook right now."""
        try:
            return self._write(changed, self._found(changed))
        except IntegrityError:
            return False

    def _found(self, changed: Changed) -> Drift:
        webhook = changed.webhook
        before = changed.before if changed.is_same_mapping else None
        since = before.since if before else webhook.updated_at
        dag = self._dag(changed)
        # A DAG that is gone, or that cannot be read, breaks nothing and mends nothing.
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
            return self._dags.get(changed.webhook.dag_id, in_transaction)
        except DatabaseUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - a DAG that cannot be read is nobody else's trouble
            log_unexpected_error(f"drift of {changed.webhook.id}", error)
            return None

    def _problems(self, webhook: Webhook, dag: CachedDag, since: datetime) -> list[Problem]:
        found = mapping_problems(webhook.mapping, dag.params)
        with transaction() as connection:
            confs = drifts.last_confs(connection, webhook, since, CONFS)
        named = {problem.part for problem in found}
        return found + [problem for problem in conf_problems(confs, dag.params) if problem.part not in named]

    def _write(self, changed: Changed, found: Drift) -> bool:
        told = self._to_tell(changed, found)
        recipients = changed.webhook.notify_failure or self._operators
        with transaction() as connection:
            begin_writing(connection)
            if not drifts.save_drift(connection, found, changed.before):
                return False
            facts = {
                "dag_id": changed.webhook.dag_id,
                "problems": [drifts.stored_problem(problem) for problem in found.problems],
            }
            at = self._now()
            written = write_drift_mails(connection, changed.webhook, recipients if told else (), facts, at)
        metrics.count(f"mails.{MailState.WAITING}", written)
        for problem in told:
            log.warning(
                "mapping broken action=drift webhook=%s dag=%s parameter=%s",
                changed.webhook.id,
                changed.webhook.dag_id,
                problem.part,
            )
        return True

    def _to_tell(self, changed: Changed, found: Drift) -> list[Problem]:
        """What the DAG's new version has broken; what a person has just saved, the person has seen."""
        before, webhook = changed.before, changed.webhook
        if not webhook.enabled:
            return []
        if before is None or not changed.is_same_mapping:
            written = changed.dag_written_at
            is_newer = written is not None and written > webhook.updated_at
            return [problem for problem in found.problems if is_newer and problem.stops]
        known = {(problem.part, problem.stops) for problem in before.problems}
        return [problem for problem in found.problems if (problem.part, problem.stops) not in known]
