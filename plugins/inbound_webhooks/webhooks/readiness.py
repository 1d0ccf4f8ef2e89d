"""Whether a webhook can start runs right now: the problems that pages and commands show."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from inbound_webhooks.airflow_bridge.assets import (
    NO_SUBSCRIBERS,
    FoundAsset,
    Subscribers,
    find_asset,
    subscribers_of,
)
from inbound_webhooks.airflow_bridge.check_process import CHECK_MILLISECONDS
from inbound_webhooks.airflow_bridge.dag_cache import CachedDag, DagCache, DagState, dag_states, startable
from inbound_webhooks.airflow_bridge.run_results import (
    HAS_DAG_RESULTS,
    last_run_lacks_result,
    stores_elsewhere,
)
from inbound_webhooks.errors import DefinitionError, Problem, Severity, TokenUnreadable
from inbound_webhooks.event.conf.of_batch import of_one_event
from inbound_webhooks.event.conf.parameter import NO_DEFAULT, Parameter
from inbound_webhooks.event.conf.problems import mapping_problems
from inbound_webhooks.event.expressions.bare_path import expression_meant
from inbound_webhooks.event.grouping import BATCHED, EVENTS, grouped_state
from inbound_webhooks.event.waiting import waits
from inbound_webhooks.monitoring.clock import utc_now
from inbound_webhooks.monitoring.environment import ENVIRONMENT
from inbound_webhooks.monitoring.health import HEARTBEAT_TIMEOUT_SECONDS
from inbound_webhooks.records.credential import Credential
from inbound_webhooks.records.hold import Hold, is_open
from inbound_webhooks.records.webhook import FIELDS, Draft, Webhook
from inbound_webhooks.settings import in_default_time_zone, read_option
from inbound_webhooks.storage import listing
from inbound_webhooks.storage.database import in_transaction, transaction
from inbound_webhooks.storage.dispatchers import dispatchers_seen
from inbound_webhooks.storage.drifts import Drift, found_drifts
from inbound_webhooks.storage.encryption import decrypt
from inbound_webhooks.storage.endpoints import reported_problems
from inbound_webhooks.storage.matched_waits import count_waiting
from inbound_webhooks.storage.webhooks import webhooks_by_id
from inbound_webhooks.webhooks.compiled import compile_webhook
from inbound_webhooks.webhooks.queue_reason import queue_reason
from inbound_webhooks.webhooks.secrets import missing_secrets, needed_purposes

MANUAL_RUN = "manual"
DISPATCHER_SILENT = timedelta(seconds=HEARTBEAT_TIMEOUT_SECONDS)
ENDPOINT_SILENT = timedelta(seconds=30)
"""A report of an endpoint that is older is outdated."""

_dags = DagCache(recheck_seconds=0)


@dataclass(frozen=True, kw_only=True)
class Facts:
    """The state of a webhook's environment, read once for all checks."""

    now: datetime
    credentials: Sequence[Credential]
    state: DagState | None
    dag: CachedDag | None
    dispatcher_seen_at: datetime | None
    drift: Drift | None = None
    environment: Sequence[Problem] = ()
    lacks_dag_result: bool = False
    asset: FoundAsset | None = None
    subscribers: Subscribers = NO_SUBSCRIBERS
    waiting_tasks: int = 0
    stores_bodies: bool = True
    queue_reason: str | None = None
    source: Webhook | None = None


def reasons_of(webhook: Webhook) -> list[Problem]:
    """The problems of one webhook, most severe first."""
    return reasons_by_id([webhook])[webhook.id]


def reasons_by_id(webhooks: Sequence[Webhook]) -> dict[str, list[Problem]]:
    """The problems of several webhooks: webhook id -> problems, most severe first."""
    dag_ids = {webhook.dag_id for webhook in webhooks if webhook.dag_id}
    with transaction() as connection:
        states = dag_states(connection, dag_ids)
        credentials = listing.credentials_of(connection, [webhook.id for webhook in webhooks])
        seen_at = dispatchers_seen(connection)
        found = found_drifts(connection, [webhook.id for webhook in webhooks])
        environment = environment_problems(connection)
        assets = _assets_of(connection, webhooks)
        queues = {webhook.id: queue_reason(connection, webhook) for webhook in webhooks}
        source_ids = {webhook.source for webhook in webhooks if webhook.source is not None}
        sources = webhooks_by_id(connection, source_ids) if source_ids else {}
        lacking = {
            each.id
            for each in webhooks
            if waits(each) and each.result_task is None
            if last_run_lacks_result(connection, each.id, each.dag_id)
        }
        waiting = count_waiting(connection, [webhook.id for webhook in webhooks])
    stores_bodies = read_option("store_bodies")
    dags = {dag_id: _dags.get(dag_id, in_transaction) for dag_id in states}
    now = utc_now()
    return {
        webhook.id: _sorted(
            reasons(
                webhook,
                Facts(
                    now=now,
                    credentials=credentials[webhook.id],
                    state=states.get(webhook.dag_id),
                    dag=startable(dags.get(webhook.dag_id), webhook),
                    dispatcher_seen_at=seen_at,
                    drift=found.get(webhook.id),
                    environment=environment,
                    lacks_dag_result=webhook.id in lacking,
                    **assets.get(webhook.asset or "", {}),
                    waiting_tasks=waiting.get(webhook.id, 0),
                    stores_bodies=stores_bodies,
                    queue_reason=queues[webhook.id],
                    source=sources.get(webhook.source or ""),
                ),
            )
        )
        for webhook in webhooks
    }


def _assets_of(connection: Connection, webhooks: Sequence[Webhook]) -> dict[str, dict[str, Any]]:
    """Asset of some webhooks -> the facts about it."""
    facts: dict[str, dict[str, Any]] = {}
    for named in {webhook.asset for webhook in webhooks if webhook.asset}:
        if (found := find_asset(connection, named)) is not None:
            facts[named] = {"asset": found, "subscribers": subscribers_of(connection, found)}
    return facts


def is_paused(problems: Sequence[Problem]) -> bool:
    """Whether runs of a webhook wait because its DAG is paused."""
    return any(problem.code == "dag-paused" for problem in problems)


def environment_problems(connection: Connection) -> list[Problem]:
    """Problems of this process and those that processes of the endpoint reported, each sentence once."""
    since = utc_now() - ENDPOINT_SILENT
    return list(dict.fromkeys((*ENVIRONMENT.problems(), *reported_problems(connection, since=since))))


def reasons(webhook: Webhook, facts: Facts) -> list[Problem]:
    """The problems that the checks find in the facts."""
    return [problem for check in _CHECKS for problem in check(webhook, facts)]


def _sorted(found: list[Problem]) -> list[Problem]:
    return sorted(found, key=lambda problem: ("stops", "delays", "hint").index(problem.severity))


def _dispatcher(_webhook: Webhook, facts: Facts) -> list[Problem]:
    seen_at = facts.dispatcher_seen_at
    if seen_at is not None and facts.now - seen_at < DISPATCHER_SILENT:
        return []
    return [
        _problem("no-dispatcher", "delays", "No dispatcher is running. Deliveries wait until one starts.")
    ]


def _environment(_webhook: Webhook, facts: Facts) -> list[Problem]:
    return list(facts.environment)


def _disabled(webhook: Webhook, _facts: Facts) -> list[Problem]:
    if webhook.enabled:
        return []
    sentence = f"It is disabled; senders get status {webhook.disabled_status}. Enable it to accept requests."
    return [_problem("disabled", "stops", sentence)]


def _hold(webhook: Webhook, facts: Facts) -> list[Problem]:
    if webhook.held_by_all:
        return [
            _problem("held", "delays", "All webhooks are on hold. Deliveries are stored until a release.")
        ]
    if webhook.hold == Hold.HELD:
        return [_problem("held", "delays", "It is on hold. Deliveries are stored until you release it.")]
    local = in_default_time_zone(facts.now)
    if not is_open(webhook.release_window, local):
        sentence = f"It is released: held deliveries go on within {webhook.release_window}."
        return [_problem("releasing", "delays", sentence)]
    if webhook.hold == Hold.RELEASING:
        rate = webhook.release_per_minute
        at_rate = "" if rate is None else f", {rate:,} a minute"
        sentence = f"It is released: held deliveries go on in their order{at_rate}, and new ones after them."
        return [_problem("releasing", "delays", sentence)]
    if not is_open(webhook.start_window, local):
        sentence = f"Deliveries start within {webhook.start_window}; until then they are held."
        return [_problem("outside-hours", "delays", sentence)]
    return []


def _dag_state(webhook: Webhook, facts: Facts) -> list[Problem]:
    dag_id, state = webhook.dag_id, facts.state
    if not dag_id:
        return []
    if state is None:
        return [_problem("dag-missing", "stops", _MISSING.format(dag_id))]
    if not state.owner.admits(webhook.team):
        return [_problem("dag-team", "stops", _team_sentence(dag_id, state.owner.team, webhook.team))]
    if state.has_import_errors:
        sentence = f"DAG {dag_id} has import errors. Deliveries wait until they are fixed."
        return [_problem("dag-import-errors", "stops", sentence)]
    if facts.dag is None and not state.is_stale:
        return [_problem("dag-missing", "stops", _MISSING.format(dag_id))]
    if state.is_stale:
        sentence = f"Airflow no longer has the DAG {dag_id}. Deliveries wait until it is back."
        return [_problem("dag-missing", "stops", sentence)]
    if state.allowed_run_types is not None and MANUAL_RUN not in state.allowed_run_types:
        sentence = f"DAG {dag_id} does not allow manual runs. Allow them, or choose another DAG."
        return [_problem("run-type", "stops", sentence)]
    if state.is_paused:
        sentence = f"DAG {dag_id} is paused. Its runs stay queued until you unpause it."
        return [_problem("dag-paused", "delays", sentence)]
    return []


def _asset(webhook: Webhook, facts: Facts) -> list[Problem]:
    """What Airflow will do with an event; no names of DAGs, which not all who see the webhook may know."""
    asset, found, subscribers = webhook.asset, facts.asset, facts.subscribers
    if asset is None:
        return []
    if found is None or not found.is_active:
        sentence = f"No DAG file names the asset {asset}. Deliveries wait until one does."
        return [_problem("asset-missing", "stops", sentence)]
    if not subscribers.total:
        sentence = f"No DAG is scheduled on the asset {asset}: its events start nothing."
        return [_problem("asset-without-dags", "stops", sentence)]
    if subscribers.paused:
        number = f"{subscribers.paused} of {subscribers.total}"
        sentence = (
            f"Paused DAGs get no events of the asset {asset}: {number} that are scheduled on it are paused."
        )
        return [_problem("asset-dags-paused", "delays", sentence)]
    return []


def _queue(_webhook: Webhook, facts: Facts) -> list[Problem]:
    if facts.queue_reason is None:
        return []
    return [_problem("queue-full", "delays", f"{facts.queue_reason} Deliveries wait until there are fewer.")]


_MISSING = (
    "Airflow has no DAG {} yet. Deliveries wait until it exists: deploy it, or give the webhook another DAG."
)


def _team_sentence(dag_id: str, dag_team: str | None, webhook_team: str | None) -> str:
    owner = "to no team" if dag_team is None else f"to team {dag_team}"
    made_for = "for no team" if webhook_team is None else f"for team {webhook_team}"
    return (
        f"DAG {dag_id} belongs {owner}, and this webhook was made {made_for}. "
        "Deliveries wait until a user who may trigger the DAG enables the webhook again."
    )


def _routes(webhook: Webhook, facts: Facts) -> list[Problem]:
    """What keeps events from getting to a webhook from another one, or from there to others."""
    if webhook.source is not None and facts.source is None:
        return [_problem("source-missing", "stops", "The webhook whose events it gets does not exist.")]
    if facts.source is not None and not facts.source.enabled:
        # Without its name: not all who see the route may see its source, to which the page has a link.
        sentence = "The webhook whose events it gets is disabled, so none come. Enable that webhook."
        return [_problem("source-disabled", "stops", sentence)]
    if webhook.routes is not None and not webhook.route_count and not (webhook.dag_id or webhook.asset):
        sentence = "No webhook gets its events yet. Create one with this webhook as its source."
        return [_problem("no-route", "stops", sentence)]
    return []


def _url_token(webhook: Webhook, facts: Facts) -> list[Problem]:
    if webhook.source is not None:
        return []
    tokens = [held for held in facts.credentials if not held.purpose and held.is_valid(facts.now)]
    if not tokens:
        return [_problem("no-token", "stops", "Its URL has expired. Rotate it to get a new one.")]
    if not any(_is_readable(held) for held in tokens):
        sentence = (
            "Its token cannot be decrypted with [core] fernet_key; senders get status 503. "
            "Restore the key, or rotate the URL."
        )
        return [_problem("token-unreadable", "stops", sentence)]
    return []


def _secrets(webhook: Webhook, facts: Facts) -> list[Problem]:
    held = [secret for secret in facts.credentials if secret.purpose]
    try:
        compile_webhook(webhook)
        missing = missing_secrets(webhook, {secret.purpose for secret in held})
        needed = needed_purposes(webhook)
    except DefinitionError as error:
        return [_problem("definition-unusable", "stops", f"Its definition is invalid: {error.message}")]
    found = [replace(problem, message=f"{problem.message} {_UNTIL_THEN}") for problem in missing]
    for purpose in sorted(needed):
        found += _secret(purpose, [secret for secret in held if secret.purpose == purpose], facts.now)
    return found


_UNTIL_THEN = "Until then, senders get status 503."


def _secret(purpose: str, held: Sequence[Credential], now: datetime) -> list[Problem]:
    """Problems with the stored secrets for one purpose; a missing one is reported elsewhere."""
    valid = [secret for secret in held if secret.is_valid(now)]
    if held and not valid:
        sentence = f"The {purpose} secret has expired; senders get status 503. Enter a new one."
        return [_problem("secret-expired", "stops", sentence)]
    if not all(_is_readable(secret) for secret in valid):
        sentence = (
            f"The {purpose} secret cannot be decrypted with [core] fernet_key. "
            "Restore the key, or enter the secret again."
        )
        return [_problem("secret-unreadable", "stops", sentence)]
    return []


def _params(webhook: Webhook, facts: Facts) -> list[Problem]:
    return [] if facts.dag is None else mapping_reasons(webhook, facts.dag.params)


def _bare_paths(webhook: Webhook, _facts: Facts) -> list[Problem]:
    return bare_paths(webhook)


def bare_paths(webhook: Draft) -> list[Problem]:
    """The values of a definition that look like a path without its braces, and so are constants."""
    values = [("mapping", name, text) for name, text in webhook.mapping.items()]
    named = ("event_type", "dedup", "batch_by", "latest_by", "one_at_a_time")
    values += [(name, "", getattr(webhook, name) or "") for name in named]
    return [_bare_path(*value, meant) for value in values if (meant := expression_meant(value[2]))]


def _bare_path(field: str, part: str, text: str, meant: str) -> Problem:
    what = f"of parameter {part} " if part else f"of {FIELDS[field].label.lower()} "
    sentence = (
        f"The value {what}is the text {text.strip()!r}, not a value of the request. Write {meant} for that."
    )
    return Problem(sentence, field, part, code="path-is-text", severity="hint")


def _drift(webhook: Webhook, facts: Facts) -> list[Problem]:
    """Params of a new DAG version that would refuse recent deliveries; the dispatcher has stored them."""
    if facts.dag is None or facts.drift is None or facts.drift.dag_hash != facts.dag.dag_hash:
        return []
    reported = {problem.part for problem in _mapping_problems(webhook, facts.dag.params)}
    return [
        replace(
            problem,
            code="mapping-drifted",
            message=f"DAG {webhook.dag_id} has changed: its param {problem.part} {problem.message}.",
        )
        for problem in facts.drift.problems
        if problem.part not in reported
    ]


def mapping_reasons(webhook: Webhook, params: Mapping[str, Parameter]) -> list[Problem]:
    """Conflicts between a mapping and a DAG's params that do not depend on the request, and slow params."""
    found = [_mapping_reason(webhook, problem) for problem in _mapping_problems(webhook, params)]
    return (
        found
        + batch_reasons(webhook, params)
        + [problem for param in params.values() for problem in _slow_param(webhook, param)]
    )


def _mapping_problems(webhook: Webhook, params: Mapping[str, Parameter]) -> list[Problem]:
    """Problems of the mapping; with batches it describes one event."""
    of_mapping = of_one_event(params) if grouped_state(webhook) == BATCHED else params
    return mapping_problems(webhook.mapping, of_mapping or {})


def batch_reasons(webhook: Webhook, params: Mapping[str, Parameter]) -> list[Problem]:
    """Conflicts between a DAG's params and batches, whose conf is a list of events and nothing else."""
    if grouped_state(webhook) != BATCHED:
        return []
    dag_id, events = webhook.dag_id, params.get(EVENTS)
    found = [
        Problem(
            f"Param {param.name} of DAG {dag_id} has no default, and a batch has only the param {EVENTS}.",
            "batch_size",
            code="batch-param",
            severity="stops",
        )
        for param in params.values()
        if param.name != EVENTS and param.default is NO_DEFAULT
    ]
    if events is not None and events.types and "array" not in events.types:
        sentence = f"Param {EVENTS} of DAG {dag_id} takes no list, so it refuses every batch."
        found.append(Problem(sentence, "batch_size", code="batch-param", severity="stops"))
    if events is None and params:
        sentence = f"DAG {dag_id} has no param {EVENTS}; the list of a batch only appears in conf."
        found.append(Problem(sentence, "batch_size", code="batch-param", severity="hint"))
    return found


def _slow_param(webhook: Webhook, param: Parameter) -> list[Problem]:
    why = param.not_linear
    if why is None:
        return []
    sentence = (
        f"The {why.part} of param {param.name} of DAG {webhook.dag_id} cannot be checked in linear time: "
        f"{why.reason}. A value whose check takes longer than {CHECK_MILLISECONDS} milliseconds is refused."
    )
    return [Problem(sentence, "mapping", param.name, code="param-slow", severity="hint")]


def _mapping_reason(webhook: Webhook, problem: Problem) -> Problem:
    if not problem.stops:
        sentence = f"DAG {webhook.dag_id} has no param {problem.part!r}; the value only appears in conf."
        return replace(problem, code="mapping-unknown", message=sentence)
    conflict = f"The mapping violates the DAG's params: {problem.part} {problem.message}"
    sentence = f"{conflict}; senders get status {webhook.invalid_status}."
    return replace(problem, code="mapping-breaks", message=sentence)


def _wait(webhook: Webhook, facts: Facts) -> list[Problem]:
    """What keeps a response that waits from having a result."""
    if not waits(webhook):
        return []
    found = []
    if grouped_state(webhook):
        found.append("Events wait for others of their group, so responses do not wait: senders get 202.")
    dag_id, task_id = webhook.dag_id, webhook.result_task
    if facts.state is not None and facts.state.is_paused:
        found.append(f"While DAG {dag_id} is paused, responses do not wait for its runs: senders get 202.")
    if task_id is not None and facts.dag is not None and not facts.dag.dag.has_task(task_id):
        found.append(
            f"DAG {dag_id} has no task {task_id}, so responses wait until its runs end and have no result."
        )
    if task_id is None and not HAS_DAG_RESULTS:
        found.append("This version of Airflow has no results of DAGs. Name the task whose result it is.")
    if facts.lacks_dag_result:
        found.append(
            f"The last run of DAG {dag_id} had no result of the DAG. Mark a task with @result, or name one."
        )
    if stores_elsewhere():
        found.append(
            "[core] xcom_backend stores results elsewhere, so responses have an error instead of one."
        )
    return [_problem("wait-without-result", "hint", sentence) for sentence in found]


def _awaited(webhook: Webhook, facts: Facts) -> list[Problem]:
    """What keeps the webhook's events from resuming the tasks that wait for them."""
    found = []
    if facts.waiting_tasks and not webhook.enabled:
        tasks = "1 task waits" if facts.waiting_tasks == 1 else f"{facts.waiting_tasks:,} tasks wait"
        found.append(f"{tasks} for its events until the webhook is enabled, or their time is over.")
    if (facts.waiting_tasks or webhook.waiting_dags) and not facts.stores_bodies:
        found.append(
            "[inbound_webhooks] store_bodies is off, so no event can resume a task that waits for it."
        )
    return [_problem("awaited-in-vain", "stops", sentence) for sentence in found]


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
    _hold,
    _routes,
    _dag_state,
    _asset,
    _queue,
    _url_token,
    _secrets,
    _params,
    _bare_paths,
    _drift,
    _wait,
    _awaited,
    _dispatcher,
    _environment,
)
