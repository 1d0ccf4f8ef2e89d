"""Will a webhook start runs as things are now? The reasons why not, for pages and command line alike."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone

from inbound_webhooks.airflow_bridge.dag_cache import CachedDag, DagCache, DagState, dag_states
from inbound_webhooks.errors import DefinitionError, Problem, Severity, TokenUnreadable
from inbound_webhooks.event.conf.parameter import Parameter
from inbound_webhooks.event.conf.problems import mapping_problems
from inbound_webhooks.monitoring.health import HEARTBEAT_TIMEOUT_SECONDS
from inbound_webhooks.records.credential import Credential
from inbound_webhooks.records.webhook import Webhook
from inbound_webhooks.storage import listing
from inbound_webhooks.storage.database import in_transaction, transaction
from inbound_webhooks.storage.dispatchers import dispatchers_seen
from inbound_webhooks.storage.drifts import Drift, found_drifts
from inbound_webhooks.storage.encryption import decrypt
from inbound_webhooks.webhooks.secrets import missing_secrets, needed_purposes

MANUAL_RUN = "manual"
DISPATCHER_SILENT = timedelta(seconds=HEARTBEAT_TIMEOUT_SECONDS)

_dags = DagCache(recheck_seconds=0)


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What was found about one webhook."""

    now: datetime
    credentials: Sequence[Credential]
    state: DagState | None
    dag: CachedDag | None
    dispatcher_seen_at: datetime | None
    drift: Drift | None = None


def reasons_of(webhook: Webhook) -> list[Problem]:
    """The reasons for one webhook, the worst first."""
    return reasons_by_id([webhook])[webhook.id]


def reasons_by_id(webhooks: Sequence[Webhook]) -> dict[str, list[Problem]]:
    """The reasons for each of some webhooks, by id."""
    dag_ids = {webhook.dag_id for webhook in webhooks}
    with transaction() as connection:
        states = dag_states(connection, dag_ids)
        credentials = listing.credentials_of(connection, [webhook.id for webhook in webhooks])
        seen_at = dispatchers_seen(connection)
        found = found_drifts(connection, [webhook.id for webhook in webhooks])
    dags = {dag_id: _dags.get(dag_id, in_transaction) for dag_id in states}
    now = datetime.now(timezone.utc)
    return {
        webhook.id: _sorted(
            reasons(
                webhook,
                Facts(
                    now=now,
                    credentials=credentials[webhook.id],
                    state=states.get(webhook.dag_id),
                    dag=dags.get(webhook.dag_id),
                    dispatcher_seen_at=seen_at,
                    drift=found.get(webhook.id),
                ),
            )
        )
        for webhook in webhooks
    }


def reasons(webhook: Webhook, facts: Facts) -> list[Problem]:
    """What the facts say, each check on its own."""
    return [reason for check in _CHECKS for reason in check(webhook, facts)]


def _sorted(found: list[Problem]) -> list[Problem]:
    return sorted(found, key=lambda reason: ("stops", "delays", "hint").index(reason.severity))


def _dispatcher(_webhook: Webhook, facts: Facts) -> list[Problem]:
    seen_at = facts.dispatcher_seen_at
    if seen_at is not None and facts.now - seen_at < DISPATCHER_SILENT:
        return []
    return [_problem("no-dispatcher", "delays", "No dispatcher is running; deliveries wait until one does.")]


def _disabled(webhook: Webhook, _facts: Facts) -> list[Problem]:
    if webhook.enabled:
        return []
    return [_problem("disabled", "stops", f"It is disabled and answers {webhook.disabled_status}.")]


def _dag_state(webhook: Webhook, facts: Facts) -> list[Problem]:
    dag_id, state = webhook.dag_id, facts.state
    if state is None or (facts.dag is None and not state.is_stale and not state.has_import_errors):
        sentence = f"Airflow knows no DAG {dag_id} yet; deliveries wait until it does."
        return [_problem("dag-missing", "stops", sentence)]
    if state.has_import_errors:
        return [_problem("dag-import-errors", "stops", f"DAG {dag_id} has import errors; deliveries wait.")]
    if state.is_stale:
        return [_problem("dag-missing", "stops", f"DAG {dag_id} is gone; deliveries wait until it is back.")]
    if state.allowed_run_types is not None and MANUAL_RUN not in state.allowed_run_types:
        return [_problem("run-type", "stops", f"DAG {dag_id} does not allow manual runs.")]
    if state.is_paused:
        sentence = f"DAG {dag_id} is paused; its runs stay queued until it is not."
        return [_problem("dag-paused", "delays", sentence)]
    return []


def _url_token(_webhook: Webhook, facts: Facts) -> list[Problem]:
    tokens = [held for held in facts.credentials if not held.purpose and held.is_valid(facts.now)]
    if not tokens:
        return [_problem("no-token", "stops", "Its URL has ended: rotate it to get another.")]
    if not any(_is_readable(held) for held in tokens):
        sentence = "Its token cannot be decrypted with [core] fernet_key; senders are answered 503."
        return [_problem("token-unreadable", "stops", sentence)]
    return []


def _secrets(webhook: Webhook, facts: Facts) -> list[Problem]:
    held = [secret for secret in facts.credentials if secret.purpose]
    try:
        missing = missing_secrets(webhook, {secret.purpose for secret in held})
        needed = needed_purposes(webhook)
    except DefinitionError as error:
        return [_problem("definition-unusable", "stops", f"It cannot be used: {error.message}")]
    found = [_problem("secret-missing", "stops", f"Of the secrets, {sentence}.") for sentence in missing]
    for purpose in sorted(needed):
        found += _secret(purpose, [secret for secret in held if secret.purpose == purpose], facts.now)
    return found


def _secret(purpose: str, held: Sequence[Credential], now: datetime) -> list[Problem]:
    """What is wrong with the secrets for one purpose; none is another check's matter."""
    valid = [secret for secret in held if secret.is_valid(now)]
    if held and not valid:
        sentence = f"The secret for {purpose} has expired; senders are answered 401."
        return [_problem("secret-expired", "stops", sentence)]
    if not all(_is_readable(secret) for secret in valid):
        sentence = f"The secret for {purpose} cannot be decrypted with [core] fernet_key."
        return [_problem("secret-unreadable", "stops", sentence)]
    return []


def _params(webhook: Webhook, facts: Facts) -> list[Problem]:
    return [] if facts.dag is None else mapping_reasons(webhook, facts.dag.params)


def _drift(webhook: Webhook, facts: Facts) -> list[Problem]:
    """What a new version of the DAG would refuse of what came before; the dispatcher has looked."""
    if facts.dag is None or facts.drift is None or facts.drift.dag_hash != facts.dag.dag_hash:
        return []
    told = {problem.part for problem in mapping_problems(webhook.mapping, facts.dag.params)}
    return [
        replace(
            problem,
            code="mapping-drifted",
            message=f"DAG {webhook.dag_id} has changed: its param {problem.part} {problem.message}.",
        )
        for problem in facts.drift.problems
        if problem.part not in told
    ]


def mapping_reasons(webhook: Webhook, params: Mapping[str, Parameter]) -> list[Problem]:
    """What is wrong with a mapping beside a DAG's params, whatever a request brings."""
    return [_mapping_reason(webhook, problem) for problem in mapping_problems(webhook.mapping, params)]


def _mapping_reason(webhook: Webhook, problem: Problem) -> Problem:
    if not problem.stops:
        sentence = f"DAG {webhook.dag_id} has no param {problem.part!r}; it only shows in conf."
        return replace(problem, code="mapping-unknown", message=sentence)
    told = f"The mapping breaks the DAG's params: {problem.part} {problem.message}"
    message = f"{told}; senders are answered {webhook.invalid_status}."
    return replace(problem, code="mapping-breaks", message=message)


def _problem(code: str, severity: Severity, message: str) -> Problem:
    return Problem(message, code=code, severity=severity)


def _is_readable(held: Credential) -> bool:
    try:
        decrypt(held.encrypted)
    except TokenUnreadable:
        return False
    return True


_CHECKS: Collection[Callable[[Webhook, Facts], list[Problem]]] = (
    _disabled,
    _dag_state,
    _url_token,
    _secrets,
    _params,
    _drift,
    _dispatcher,
)
