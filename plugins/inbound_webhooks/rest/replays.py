"""Searches over the deliveries of all webhooks, and replays of many."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Query

from inbound_webhooks.deliveries import replay_jobs, search
from inbound_webhooks.deliveries.replay_jobs import Report
from inbound_webhooks.receiver.instance import get_receiver
from inbound_webhooks.records.delivery_filter import DeliveryFilter, parse
from inbound_webhooks.rest.deliveries import response_of
from inbound_webhooks.rest.dependencies import DEFAULT_LIMIT, MAX_LIMIT, AccessDep
from inbound_webhooks.rest.problems import documented
from inbound_webhooks.rest.requests import Conditions, NewReplayJob, Search
from inbound_webhooks.rest.responses import (
    CauseResponse,
    DeliverySearchResponse,
    ReplayJobCollection,
    ReplayJobDetails,
    ReplayJobResponse,
)

router = APIRouter(tags=["Delivery"])

LISTED = 100


@router.get("/deliveries/search", responses=documented(429))
def search_deliveries(
    may: AccessDep,
    where: Annotated[Search, Query()],
) -> DeliverySearchResponse:
    """Deliveries of all webhooks that the user may see, deleted webhooks included, newest first."""
    wanted = conditions(where)
    size = min(where.limit or DEFAULT_LIMIT, MAX_LIMIT)
    if wanted.text:
        with get_receiver().searches.held_by(may.name):
            found = search.find(wanted, may, before=where.cursor, limit=size)
    else:
        found = search.find(wanted, may, before=where.cursor, limit=size)
    return DeliverySearchResponse(
        deliveries=[response_of(row) for row in found.rows],
        total_entries=search.count(wanted, may),
        next_cursor=found.cursor,
        searched_to=found.searched_to,
    )


@router.post("/replays", status_code=201, responses=documented(400, 409, 429))
def start_replay_job(may: AccessDep, body: NewReplayJob) -> ReplayJobDetails:
    """Start a replay of many deliveries; permissions for each are checked when it is replayed."""
    what: dict[str, Any] = {"ids": body.ids} if body.where is None else {"where": conditions(body.where)}
    with get_receiver().searches.held_by(may.name):
        job = replay_jobs.start(access=may, actor=may.name, remap=body.remap, **what)
    return _details(replay_jobs.report(job.id, may, may.name))


@router.get("/replays", responses=documented())
def get_replay_jobs(may: AccessDep) -> ReplayJobCollection:
    """The newest replay jobs that the user may see."""
    found = replay_jobs.reports(may, may.name, limit=LISTED)
    return ReplayJobCollection(replays=[ReplayJobResponse(**_values(report)) for report in found])


@router.get("/replays/{job_id}", responses=documented(404))
def get_replay_job(job_id: str, may: AccessDep) -> ReplayJobDetails:
    """A replay job with its progress, and why deliveries were not replayed."""
    return _details(replay_jobs.report(job_id, may, may.name))


@router.post("/replays/{job_id}/cancel", responses=documented(404))
def cancel_replay_job(job_id: str, may: AccessDep) -> ReplayJobDetails:
    """Stop a replay job, unless it has ended; what was replayed stays."""
    replay_jobs.cancel(job_id, may, may.name)
    return _details(replay_jobs.report(job_id, may, may.name))


def conditions(given: Conditions) -> DeliveryFilter:
    """The filter of a request.

    :raises InvalidDefinition: a value is malformed
    """
    values = given.model_dump(by_alias=True, include=set(Conditions.model_fields) - {"state"})
    return parse([*(("state", state) for state in given.state), *values.items()])


def _values(report: Report) -> dict[str, Any]:
    job = report.job
    return {
        "id": job.id,
        "state": job.state,
        "actor": job.actor,
        "remap": job.remap,
        "where": json.loads(job.conditions),
        "created_at": job.created_at,
        "finished_at": job.finished_at,
        "total": job.total,
        **report.progress,
    }


def _details(report: Report) -> ReplayJobDetails:
    causes = [CauseResponse(**vars(cause)) for cause in report.causes]
    replays = [item.replay_id for item in report.replays if item.replay_id]
    return ReplayJobDetails(**_values(report), causes=causes, replays=replays)
