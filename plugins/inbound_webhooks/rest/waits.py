"""Tasks that wait for a request: list, read, resume by hand."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException

from inbound_webhooks.deliveries.seen_events import shown
from inbound_webhooks.records.wait import WaitState
from inbound_webhooks.rest.dependencies import DEFAULT_LIMIT, MAX_LIMIT, AccessDep, Limit, Offset, Text
from inbound_webhooks.rest.problems import documented
from inbound_webhooks.rest.responses import WaitCollection, WaitResponse
from inbound_webhooks.webhooks import waits

router = APIRouter(prefix="/waits", tags=["Wait"])


@router.get("", responses=documented(400))
def get_waits(
    may: AccessDep,
    state: Text = "",
    dag_id: Text = "",
    offset: Offset = 0,
    limit: Limit = DEFAULT_LIMIT,
) -> WaitCollection:
    """Waiting tasks of DAGs that the user may read, newest first."""
    if state and state not in WaitState.ALL:
        raise HTTPException(400, f"state must be one of {', '.join(WaitState.ALL)}")
    found, total = waits.listed(may, state=state, dag_id=dag_id, limit=min(limit, MAX_LIMIT), offset=offset)
    return WaitCollection(waits=[WaitResponse(**waits.as_data(wait)) for wait in found], total_entries=total)


@router.get("/{wait_id}", responses=documented(404))
def get_wait(wait_id: str, may: AccessDep) -> WaitResponse:
    """One waiting task; if it waits for an event of a webhook, with what has come so far."""
    return WaitResponse(**shown(may, wait_id))


@router.post("/{wait_id}/resume", responses=documented(404, 409))
def resume_task(wait_id: str, may: AccessDep) -> WaitResponse:
    """Resume a waiting task without a request; its result is None."""
    return WaitResponse(**waits.as_data(waits.resume(may, wait_id, actor=may.name)))
