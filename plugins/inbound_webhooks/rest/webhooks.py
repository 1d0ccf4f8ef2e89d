"""Webhooks: list, create, read, change, delete, enable, disable, rotate, preview, back-test, rejections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Path, Response

from inbound_webhooks.deliveries.backtest import BackTest, as_data, back_test
from inbound_webhooks.deliveries.preview import preview_request, typed_body
from inbound_webhooks.errors import NotPermitted, TokenUnreadable, WebhookExists
from inbound_webhooks.files.plan import held_secrets, is_held
from inbound_webhooks.receiver.instance import get_receiver
from inbound_webhooks.records.target import subject_of
from inbound_webhooks.records.webhook import Draft, Webhook, field_values, json_fields
from inbound_webhooks.rest.dependencies import (
    DEFAULT_LIMIT,
    MAX_LIMIT,
    AccessDep,
    Limit,
    Offset,
    Text,
    changeable,
    descending,
    visible,
)
from inbound_webhooks.rest.problems import documented
from inbound_webhooks.rest.requests import BackTestBody, Rotation, TryBody, WebhookBody, WebhookPatch
from inbound_webhooks.rest.responses import (
    BackTestResponse,
    PreviewResponse,
    RejectionCollection,
    RejectionResponse,
    WebhookCollection,
    WebhookResponse,
    reason_of,
)
from inbound_webhooks.storage import listing
from inbound_webhooks.storage.credentials import list_credentials
from inbound_webhooks.storage.database import transaction
from inbound_webhooks.storage.origins import webhook_origins
from inbound_webhooks.storage.webhooks import ById, webhook_by_name
from inbound_webhooks.webhooks import readiness, service
from inbound_webhooks.webhooks.access import Access
from inbound_webhooks.webhooks.secrets import NewSecret

router = APIRouter(prefix="/webhooks", tags=["Webhook"])

ORDERS = {"name": "name", "dag_id": "dag", "preset": "sender", "enabled": "state", "last_delivery": "last"}


@router.get("", responses=documented(400))
def get_webhooks(
    may: AccessDep,
    dag_id: Text = "",
    order_by: str = "name",
    offset: Offset = 0,
    limit: Limit = DEFAULT_LIMIT,
) -> WebhookCollection:
    """The webhooks that the user may see."""
    sort, down = descending(order_by, ORDERS)
    with transaction() as connection:
        named = webhook_origins(connection)
    wanted = listing.WebhookQuery(
        visible=may.visible(named),
        dag_id=dag_id,
        sort=sort,
        descending=down,
        offset=offset,
        limit=min(limit, MAX_LIMIT),
    )
    with transaction() as connection:
        webhooks, total = listing.webhooks_page(connection, wanted)
    seen = [webhook for webhook in webhooks if may.may_see(webhook)]
    return WebhookCollection(webhooks=_responses_of(may, seen), total_entries=total)


@router.post("", status_code=201, responses={**documented(400, 409), 200: {"model": WebhookResponse}})
def post_webhook(body: WebhookBody, may: AccessDep, response: Response) -> WebhookResponse:  # type: ignore[valid-type]
    """Create a webhook; 200, without a change, if an identical one of this name exists."""
    fields = body.model_dump(exclude_unset=True)  # type: ignore[attr-defined]
    secrets = fields.pop("secrets", {})
    draft = service.drafted(preset=fields.pop("preset", None), purposes=set(secrets), **fields)
    if not may.may_change(draft, "POST"):
        raise NotPermitted(f"Creating a webhook requires permission {subject_of(draft).right()}.")
    if (problem := may.save_problem(draft, None)) is not None:
        raise NotPermitted(problem.message)
    try:
        created = service.create(
            draft,
            secrets=_new_secrets(secrets),
            actor=may.name,
            team=may.team_for(draft),
            checked_source=may.checked_source(draft),
        )
    except WebhookExists:
        created = _find_identical(may, draft, _new_secrets(secrets))
        response.status_code = 200
    return response_of(may, created)


def _find_identical(may: Access, draft: Draft, secrets: Sequence[NewSecret]) -> Webhook:
    """The stored webhook of this name, if the user may see it and definition and secrets are identical."""
    with transaction() as connection:
        stored = webhook_by_name(connection, draft.name)
        credentials = list_credentials(connection, stored.id) if stored else []
    held = held_secrets(credentials)
    is_identical = stored is not None and may.may_see(stored) and json_fields(stored) == json_fields(draft)
    if stored is None or not is_identical or not all(is_held(secret, held) for secret in secrets):
        raise WebhookExists(f"Another webhook named {draft.name!r} already exists.")
    return stored


@router.get("/{webhook_id}", responses=documented(404))
def get_webhook(webhook_id: str, may: AccessDep) -> WebhookResponse:
    """One webhook."""
    return response_of(may, visible(may, webhook_id))


@router.patch("/{webhook_id}", responses=documented(400, 404, 409))
def patch_webhook(webhook_id: str, body: WebhookPatch, may: AccessDep) -> WebhookResponse:  # type: ignore[valid-type]
    """Change the given fields; a secret replaces the previous one for its purpose."""
    webhook = changeable(may, webhook_id)
    draft = _changed(may, webhook, body)
    version = body.version if body.version is not None else webhook.version  # type: ignore[attr-defined]
    secrets = _new_secrets(body.secrets)  # type: ignore[attr-defined]
    service.change(
        webhook.id,
        draft,
        version=version,
        secrets=secrets,
        actor=may.name,
        team=may.team_for(draft),
        checked=webhook,
        checked_source=may.checked_source(draft),
    )
    return response_of(may, visible(may, webhook_id))


@router.delete("/{webhook_id}", status_code=204, responses=documented(404, 409))
def delete_webhook(webhook_id: str, may: AccessDep) -> None:
    """Delete a webhook and cancel its waiting deliveries."""
    webhook = changeable(may, webhook_id, "DELETE")
    service.delete(ById(webhook.id), actor=may.name, checked=webhook)


@router.post("/{webhook_id}/enable", responses=documented(404, 409))
def enable_webhook(webhook_id: str, may: AccessDep) -> WebhookResponse:
    """Enable a webhook: it accepts requests, and waiting deliveries start."""
    return _set_enabled(may, webhook_id, True)


@router.post("/{webhook_id}/disable", responses=documented(404, 409))
def disable_webhook(webhook_id: str, may: AccessDep) -> WebhookResponse:
    """Disable a webhook: it accepts and starts nothing."""
    return _set_enabled(may, webhook_id, False)


@router.post("/{webhook_id}/rotate", responses=documented(400, 404, 409))
def rotate_webhook(webhook_id: str, body: Rotation, may: AccessDep) -> WebhookResponse:
    """Rotate a webhook's URL, or one of its secrets."""
    webhook = changeable(may, webhook_id)
    found, hours = ById(webhook.id), body.grace_hours
    if body.purpose is None or body.secret is None:
        service.rotate(found, actor=may.name, grace_hours=hours, checked=webhook)
    else:
        secret = NewSecret(body.purpose, body.secret)
        service.rotate_secret(found, secret, actor=may.name, grace_hours=hours, checked=webhook)
    return response_of(may, visible(may, webhook_id))


@router.post("/{webhook_id}/endGrace", responses=documented(404, 409))
def end_grace(webhook_id: str, may: AccessDep) -> WebhookResponse:
    """End the grace period of old URLs and secrets; the newest ones stay valid."""
    webhook = changeable(may, webhook_id)
    service.end_grace(ById(webhook.id), actor=may.name, checked=webhook)
    return response_of(may, visible(may, webhook_id))


@router.get("/{webhook_id}/rejections", responses=documented(400, 404))
def get_rejections(
    webhook_id: str,
    may: AccessDep,
    order_by: str = "-rejected_at",
    offset: Offset = 0,
    limit: Limit = DEFAULT_LIMIT,
) -> RejectionCollection:
    """The latest rejections. A refused delivery is not a rejection, and can be replayed."""
    _, down = descending(order_by, {"id": "id", "rejected_at": "id"})
    found = _rejections(may, webhook_id)
    page = (found if down else found[::-1])[offset : offset + min(limit, MAX_LIMIT)]
    return RejectionCollection(rejections=page, total_entries=len(found))


@router.get("/{webhook_id}/rejections/{rejection_id}", responses=documented(404))
def get_rejection(
    webhook_id: str, rejection_id: Annotated[int, Path(ge=0)], may: AccessDep
) -> RejectionResponse:
    """One rejection."""
    for rejection in _rejections(may, webhook_id):
        if rejection.id == rejection_id:
            return rejection
    raise HTTPException(404, "The rejection does not exist; only the latest ones are kept.")


def _rejections(may: Access, webhook_id: str) -> list[RejectionResponse]:
    webhook = visible(may, webhook_id)
    with transaction() as connection:
        rows = listing.rejection_rows(connection, webhook.id)
    names = RejectionResponse.model_fields
    return [RejectionResponse(**{name: getattr(row, name) for name in names}) for row in rows]


@router.post("/{webhook_id}/try", responses=documented(400, 404, 429))
def try_webhook(webhook_id: str, body: TryBody, may: AccessDep) -> PreviewResponse:
    """Preview a request, without storing or running anything."""
    webhook = changeable(may, webhook_id)
    if body.draft is not None:
        webhook = _checked(may, webhook, _changed(may, webhook, body.draft))
    receiver = get_receiver()
    headers = [(name, value) for name, value in body.headers]
    with receiver.previews.held_by(may.name):
        preview = preview_request(
            receiver,
            webhook,
            method=body.method,
            query_string=body.query,
            headers=headers,
            body=typed_body(body.body, headers),
            access=may,
        )
    return PreviewResponse(**preview)


@router.post("/{webhook_id}/backTest", response_model=BackTestResponse, responses=documented(400, 404, 429))
def back_test_webhook(webhook_id: str, body: BackTestBody, may: AccessDep) -> Response:
    """Back-test a change against the newest deliveries, without storing or running anything."""
    webhook = changeable(may, webhook_id)
    if not may.may_read_runs(webhook):
        raise NotPermitted("A back-test requires permission to read the DAG's runs.")
    changed = _checked(may, webhook, _changed(may, webhook, body.draft))
    receiver = get_receiver()
    with receiver.back_tests.held_by(may.name):
        test = back_test(receiver, webhook, changed, limit=body.last, access=may)
        # Older deliveries may belong to a previous DAG of the webhook, which the user may not read.
        readable = BackTest(tuple(filter(may.may_read_runs, test.judged)))
        # Written in this thread: FastAPI would write megabytes on the event loop.
        written = BackTestResponse(**as_data(readable)).model_dump_json()
    return Response(written, media_type="application/json")


def _changed(may: Access, webhook: Webhook, body: Any) -> Draft:
    """The draft of a change; a new target requires the permission for it too."""
    fields = body.model_dump(exclude_unset=True, exclude={"secrets", "version"})
    draft = Draft(**field_values(webhook) | fields)
    if not may.may_change(draft):
        raise NotPermitted(f"Changing it requires permission {subject_of(draft).right()}.")
    if (problem := may.save_problem(draft, webhook)) is not None:
        raise NotPermitted(problem.message)
    return draft


def _checked(may: Access, webhook: Webhook, draft: Draft) -> Webhook:
    changed = replace(webhook, team=may.team_for(draft), **vars(draft))
    service.check(changed)
    return changed


def _set_enabled(may: Access, webhook_id: str, on: bool) -> WebhookResponse:
    webhook = changeable(may, webhook_id)
    team = may.team_for(webhook)
    service.set_enabled(ById(webhook.id), on, actor=may.name, team=team, checked=webhook)
    return response_of(may, visible(may, webhook_id))


def _new_secrets(given: dict[str, str]) -> list[NewSecret]:
    return [NewSecret(purpose, value.strip("\r\n")) for purpose, value in given.items()]


def response_of(may: Access, webhook: Webhook) -> WebhookResponse:
    """A webhook as the user may see it."""
    return _responses_of(may, [webhook])[0]


def _responses_of(may: Access, webhooks: Sequence[Webhook]) -> list[WebhookResponse]:
    reasons = readiness.reasons_by_id(webhooks)
    return [
        WebhookResponse(
            **json_fields(webhook),
            id=webhook.id,
            version=webhook.version,
            created_at=webhook.created_at,
            updated_at=webhook.updated_at,
            confirm_url=webhook.confirm_url,
            team=webhook.team,
            hold=webhook.hold,
            held_by_all=webhook.held_by_all,
            release_per_minute=webhook.release_per_minute,
            release_window=webhook.release_window,
            url=url_of(webhook) if may.may_change(webhook) else None,
            reasons=[reason_of(problem) for problem in reasons[webhook.id]],
        )
        for webhook in webhooks
    ]


def url_of(webhook: Webhook) -> str | None:
    """A webhook's URL with its token; None where it cannot be read."""
    try:
        return service.url(webhook) or None
    except (TokenUnreadable, StopIteration):
        return None
