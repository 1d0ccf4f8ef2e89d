"""Reads whether runs of deliveries have a result yet, and the result itself."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow.configuration import conf
from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.models.xcom import XCOM_RETURN_KEY, XComModel
from airflow.utils.state import DagRunState
from sqlalchemy import Connection, Text, and_, cast, exists, false, func, or_, select

from inbound_webhooks.event import json_text
from inbound_webhooks.event.values import NOTHING
from inbound_webhooks.event.waiting import RunResult, RunState
from inbound_webhooks.records.delivery import State
from inbound_webhooks.storage import tables

MAX_RESULT_CHARS = 1024 * 1024
"""Length of a result's JSON as Airflow's database has it."""

EXAMINED_DELIVERIES = 20
"""The newest ones of a webhook, among which its last run that succeeded is looked for."""

TOO_LARGE = f"The result is larger than {MAX_RESULT_CHARS} characters."
NOT_JSON = "The result is not plain JSON."
ELSEWHERE = "Airflow is configured to store results elsewhere."

_UNMAPPED = -1
_ENDED = (DagRunState.SUCCESS, DagRunState.FAILED)
_SEQUENCES = frozenset({"builtins.tuple", "builtins.set", "builtins.frozenset"})
_NO_RUN = {
    State.UNDELIVERABLE: RunState.UNDELIVERABLE,
    **dict.fromkeys((State.CANCELLED, State.SUPERSEDED, State.SKIPPED), RunState.CANCELLED),
}

_run, _dag, _xcom = DagRun.__table__, DagModel.__table__, XComModel.__table__
HAS_DAG_RESULTS = "dag_result" in _xcom.c
"""Whether a DAG can say which of its tasks returns its result; since Airflow 3.3."""


@dataclass(frozen=True)
class Sought:
    """The result of a delivery's run; ``task_id`` None: the DAG's own.

    ``dag_id`` is the webhook's, whose XComs its editor may read; the delivery may be of a DAG before that.
    """

    delivery_id: str
    dag_id: str
    task_id: str | None = None


@dataclass(frozen=True)
class Ready:
    """A run that has a result or has ended; :func:`read_result` reads the result."""

    run_key: int
    run_id: str
    run_state: str


class Paused:
    """The DAG is paused, so the result may take any time."""


class OfAnotherDag:
    """The run is of a DAG that the webhook had before."""


Found = RunResult | Ready | Paused | OfAnotherDag


def look_up(connection: Connection, sought: Sequence[Sought]) -> dict[Sought, Found]:
    """The runs that have a result, have ended, or will not get one soon, in one query.

    It reads no result: those of many waits that end at the same time would fill the memory.
    """
    rows: dict[str, list[Any]] = {}
    for row in connection.execute(_progress(sought)):
        rows.setdefault(row.id, []).append(row)
    found: dict[Sought, Found] = {}
    for each in sought:
        state = _found(each, rows.get(each.delivery_id, ()))
        if state is not None:
            found[each] = state
    return found


def last_run_lacks_result(connection: Connection, webhook_id: str, dag_id: str) -> bool:
    """Whether a webhook's last run of a DAG that succeeded had no result of the DAG.

    Airflow does not store which task of a DAG returns its result, so only the runs tell.
    """
    if not HAS_DAG_RESULTS:
        return False
    table = tables.delivery.c
    of_webhook = select(table.id, table.dag_id, table.run_id, table.state)
    of_webhook = of_webhook.where(table.webhook_id == webhook_id).order_by(table.id.desc())
    newest = of_webhook.limit(EXAMINED_DELIVERIES).subquery()
    is_result = and_(_xcom.c.key == XCOM_RETURN_KEY, _xcom.c.dag_result.is_(True))
    lacks = ~exists().where(_xcom.c.dag_run_id == _run.c.id, is_result)
    runs = select(lacks).join_from(
        newest, _run, and_(_run.c.dag_id == newest.c.dag_id, _run.c.run_id == newest.c.run_id)
    )
    succeeded = runs.where(newest.c.dag_id == dag_id, newest.c.state == State.SUCCEEDED)
    return bool(connection.scalar(succeeded.order_by(newest.c.id.desc()).limit(1)))


def stores_elsewhere() -> bool:
    """Whether a custom XCom backend stores results where only workers find them; references stay in the
    database, and are not followed."""
    return not str(conf.get("core", "xcom_backend", fallback=".BaseXCom")).endswith(".BaseXCom")


def _progress(sought: Sequence[Sought]) -> Any:
    delivery = tables.delivery.c
    tasks = {each.task_id for each in sought if each.task_id is not None}
    is_result = _xcom.c.dag_result.is_(True) if HAS_DAG_RESULTS else false()
    # A mapped task may have a thousand results, which count when the run has ended.
    has_result = and_(
        _xcom.c.dag_run_id == _run.c.id,
        _xcom.c.key == XCOM_RETURN_KEY,
        _xcom.c.map_index == _UNMAPPED,
        or_(is_result, _xcom.c.task_id.in_(tasks)) if tasks else is_result,
    )
    joined = (
        tables.delivery.outerjoin(
            _run, and_(_run.c.dag_id == delivery.dag_id, _run.c.run_id == delivery.run_id)
        )
        .outerjoin(_dag, _dag.c.dag_id == delivery.dag_id)
        .outerjoin(_xcom, has_result)
    )
    return (
        select(
            delivery.id,
            delivery.dag_id,
            delivery.state,
            delivery.run_id,
            _run.c.id.label("run_key"),
            _run.c.state.label("run_state"),
            _dag.c.is_paused,
            _xcom.c.task_id,
            (is_result if HAS_DAG_RESULTS else false()).label("is_result"),
        )
        .select_from(joined)
        .where(delivery.id.in_({each.delivery_id for each in sought}))
        .order_by(_xcom.c.timestamp)
    )


def _found(sought: Sought, rows: Sequence[Any]) -> Found | None:
    """What is known of one run; None while it is running without a result."""
    if not rows:
        # Deleted, by a user or the retention.
        return RunResult(state=RunState.CANCELLED)
    row = rows[0]
    if row.dag_id != sought.dag_id:
        return OfAnotherDag()
    if row.state in _NO_RUN:
        return RunResult(state=_NO_RUN[row.state])
    has_ended = row.run_state in _ENDED
    if row.run_key is None and row.state in (State.SUCCEEDED, State.FAILED):
        # The run was deleted, and its result with it.
        return RunResult(state=_state_of(row.state == State.FAILED), run_id=row.run_id)
    task_id = sought.task_id or next((one.task_id for one in rows if one.is_result), None)
    has_result = any(one.task_id == task_id for one in rows if one.task_id is not None)
    if has_result or has_ended:
        return Ready(row.run_key, row.run_id, str(row.run_state))
    return Paused() if row.is_paused else None


def read_result(connection: Connection, sought: Sought, ready: Ready) -> RunResult | None:
    """The end of a run with its result; None where the result was deleted meanwhile, as a retry does."""
    result, problem = _read(connection, ready.run_key, sought)
    if result is NOTHING and not problem and ready.run_state not in _ENDED:
        return None
    return RunResult(
        state=_state_of(ready.run_state == DagRunState.FAILED),
        run_id=ready.run_id,
        run_state=ready.run_state,
        result=result,
        problem=problem,
    )


def _state_of(has_failed: bool) -> str:
    return RunState.FAILED if has_failed else RunState.COMPLETED


def _read(connection: Connection, run_key: int, sought: Sought) -> tuple[Any, str]:
    """The result and why it is not sent; a mapped task's are a list, without those that returned nothing."""
    is_result = _xcom.c.dag_result.is_(True) if HAS_DAG_RESULTS else false()
    wanted = (
        _xcom.c.dag_run_id == run_key,
        _xcom.c.key == XCOM_RETURN_KEY,
        is_result if sought.task_id is None else _xcom.c.task_id == sought.task_id,
    )
    value = cast(_xcom.c.value, Text)
    columns = (_xcom.c.task_id, _xcom.c.map_index, func.length(value).label("length"))
    rows = list(connection.execute(select(*columns).where(*wanted).order_by(_xcom.c.timestamp)))
    if not rows:
        return NOTHING, ""
    if stores_elsewhere():
        return NOTHING, ELSEWHERE
    # Of several tasks that return the DAG's result, the first one counts.
    task_id = rows[0].task_id
    if sum(row.length or 0 for row in rows if row.task_id == task_id) > MAX_RESULT_CHARS:
        return NOTHING, TOO_LARGE
    query = select(_xcom.c.map_index, value).where(*wanted, _xcom.c.task_id == task_id)
    texts = dict(tuple(row) for row in connection.execute(query.order_by(_xcom.c.map_index)))
    try:
        if _UNMAPPED in texts:
            return plain_json(texts[_UNMAPPED]), ""
        return [plain_json(text) for text in texts.values()], ""
    except json_text.JsonRefused:
        return NOTHING, NOT_JSON


def plain_json(text: str | None) -> Any:
    """A stored XCom as a JSON value; tuples and sets become lists.

    :raises JsonRefused: it is an object of another class, which only Airflow's workers can read
    """
    value = None if text is None else json_text.parse(text)
    return json.loads(text, object_hook=_plain) if text and '"__classname__"' in text else value


def _plain(found: Mapping[str, Any]) -> Any:
    if "__classname__" not in found:
        return found
    if str(found["__classname__"]) in _SEQUENCES and isinstance(found.get("__data__"), list):
        return found["__data__"]
    raise json_text.JsonRefused("it is an object of a class")
