"""Cancels DAG runs, as a user does who marks a run as failed."""

from __future__ import annotations

from enum import Enum
from typing import Any

from airflow.api.common.mark_tasks import set_dag_run_state_to_failed
from airflow.listeners.listener import get_listener_manager
from airflow.models.dagbag import DBDagBag
from airflow.models.dagrun import DagRun
from airflow.utils.state import DagRunState
from sqlalchemy import select
from sqlalchemy.orm import Session

from inbound_webhooks.monitoring.log_lines import get_logger
from inbound_webhooks.monitoring.loop import log_unexpected_error

log = get_logger(__name__)

CANCELLED = "An event that a webhook received cancelled the run."

_ENDED = (DagRunState.SUCCESS, DagRunState.FAILED)


class Cancelled(Enum):
    """What has become of a run that was to be cancelled.

    ENDED by that, or it was deleted; STOPPING: it ends with its teardown tasks; TOO_LATE: it had ended by
    itself.
    """

    ENDED = "ended"
    STOPPING = "stopping"
    TOO_LATE = "too late"


def cancel_run(session: Session, dag_id: str, run_id: str) -> Cancelled:
    """Mark a run as failed in the caller's transaction.

    Running tasks fail and are stopped by their workers, tasks that have not begun are skipped. Teardown tasks
    still run; until they have, the run has not ended. This is what ``PATCH …/dagRuns/{run_id}`` calls
    (``core_api/services/public/dag_run.py:patch_dag_run_state``).
    """
    of_run = (DagRun.dag_id == dag_id, DagRun.run_id == run_id)
    # Locked before its task instances, in the order of the scheduler.
    run = session.scalar(select(DagRun).where(*of_run).with_for_update(of=DagRun))
    if run is None:
        return Cancelled.ENDED
    if run.state in _ENDED:
        return Cancelled.TOO_LATE
    dag = DBDagBag(load_op_links=False).get_dag_for_run(run, session)
    if dag is None:
        # Without its DAG Airflow runs nothing of it any more.
        run.state = DagRunState.FAILED
    else:
        set_dag_run_state_to_failed(dag=dag, run_id=run_id, commit=True, session=session)
    session.flush()
    session.refresh(run)
    log.info("run cancelled action=run_cancelled dag=%s run=%s", dag_id, run_id)
    has_ended = run.state in _ENDED
    if has_ended and dag is not None:
        _call_listeners(run, dag)
    return Cancelled.ENDED if has_ended else Cancelled.STOPPING


def _call_listeners(run: DagRun, dag: Any) -> None:
    """Call Airflow's listeners as its API does: the scheduler does not, since the run has ended for it."""
    if run.dag is None:
        run.dag = dag
    try:
        get_listener_manager().hook.on_dag_run_failed(dag_run=run, msg=CANCELLED)
    except Exception as error:  # noqa: BLE001 - a listener of another plugin must not keep the run alive
        log_unexpected_error("listener", error)
