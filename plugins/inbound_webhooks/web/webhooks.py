"""The list, a webhook's page, and all changes to webhooks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flask import Response, flash, request, url_for
from flask_appbuilder import expose

from inbound_webhooks.airflow_bridge.dag_cache import DagCache
from inbound_webhooks.errors import DefinitionError, NotPermitted, Problem, TokenUnreadable, WebhookNotFound
from inbound_webhooks.event.expressions.bare_path import expression_meant
from inbound_webhooks.monitoring.clock import utc_now
from inbound_webhooks.presets import PRESETS
from inbound_webhooks.receiver.instance import get_receiver
from inbound_webhooks.records.credential import Credential
from inbound_webhooks.records.target import subject_of
from inbound_webhooks.records.webhook import Draft, Webhook
from inbound_webhooks.storage import listing
from inbound_webhooks.storage.credentials import list_credentials
from inbound_webhooks.storage.database import in_transaction, transaction
from inbound_webhooks.storage.webhooks import ById, routes_of, webhook_by_id
from inbound_webhooks.web import captured_requests, catalog, way_back, webhook_rows
from inbound_webhooks.web.backtests import CHOICES
from inbound_webhooks.web.base_view import Page, fragment, json_reply, redirected, wants_fragment, wants_json
from inbound_webhooks.web.catalog import ListRequest
from inbound_webhooks.web.form_data import Line, attributes, by_place, lines, preset_document, sections
from inbound_webhooks.web.forms import WebhookForm, secret_fields
from inbound_webhooks.web.offered import offered_curl
from inbound_webhooks.web.submission import read_submission, unknown_dag
from inbound_webhooks.webhooks import hold, listening, readiness, service
from inbound_webhooks.webhooks.secrets import NewSecret
from inbound_webhooks.webhooks.setup import Progress, progress_of

MAX_SUGGESTIONS = 20
MAX_BULK = 100
MAX_NAMED = 10
"""Webhooks that a message about several ones names."""

_dags = DagCache(recheck_seconds=0.5)


class WebhookBaseView(Page):
    """A page about one webhook."""

    def visible(self, webhook_id: str) -> Webhook:
        """A webhook that the user may see.

        :raises WebhookNotFound: it does not exist, or the user may not see it; both look the same
        """
        with transaction() as connection:
            webhook = webhook_by_id(connection, webhook_id)
        if webhook is None or not self.access().may_see(webhook):
            raise WebhookNotFound("There is no such webhook, or you may not see it.")
        return webhook

    def changeable(self, webhook_id: str, method: Any = "PUT") -> Webhook:
        """A webhook that the user may change.

        :raises NotPermitted: the user may see it but not change it
        """
        webhook = self.visible(webhook_id)
        if not self.access().may_change(webhook, method):
            raise NotPermitted(
                f"Changing this webhook requires the permission {subject_of(webhook).right('Dag')}."
            )
        return webhook

    def changed_row(self, webhook_id: str, message: str, url: str, undo: dict[str, str]) -> Response:
        """The row of a webhook that was changed in the list, with a message.

        :param undo: the values that revert the change at the same URL
        """
        place, back = request.form.get("place", ""), way_back.after_change()
        return fragment(
            "list_row.html",
            toast=message,
            undo={
                "url": url,
                "values": undo | {"place": place, "back": back},
                "target": f"#webhook-{webhook_id}",
            },
            access=self.access(),
            row=catalog.rows_of(self.access(), [self.visible(webhook_id)])[0],
            place=place,
            here=back,
            below_the_name=catalog.BELOW_THE_NAME,
        )


class WebhooksView(WebhookBaseView):
    """The lists and the form."""

    default_view = "index"

    @expose("/", methods=["GET"])
    def index(self) -> Response:
        """All webhooks that the user may see."""
        return self._list(ListRequest.read(request.args), place="list")

    @expose("/dag/<dag_id>", methods=["GET"])
    def dag(self, dag_id: str) -> Response:
        """The tab of a DAG: its webhooks."""
        if not self.access().may_see(dag_id):
            raise NotPermitted("You may not see this Dag.")
        return self._list(ListRequest.read({**request.args.to_dict(), "dag": dag_id}), place="dag")

    def _list(self, list_request: ListRequest, place: str) -> Response:
        page = catalog.read(self.access(), list_request)
        dag_id = list_request.dag if place == "dag" else ""
        may_create = self.access().may_change(dag_id, "POST") if dag_id else self.access().may_create_any
        return self.show(
            "list.html",
            page=page,
            dag_id=dag_id,
            may_create=may_create,
            presets=sorted(PRESETS.values(), key=lambda preset: preset.title.lower()),
            **webhook_rows.values_of(list_request, place, page.rows),
        )

    @expose("/new", methods=["GET", "POST"])
    def new(self) -> Response:
        """The form of a new webhook."""
        if not self.access().may_create_any:
            raise NotPermitted("Creating a webhook requires the permission to trigger a Dag.")
        form = WebhookForm()
        if request.method == "GET":
            form.dag_id.data = request.args.get("dag", "")[:250]
            form.use_sender(request.args.get("sender", ""))
            if request.args.get("clone"):
                form.copy(self.visible(request.args["clone"]))
            return self._form(form, None, ())
        return self._submitted(form, None)

    @expose("/hook/<webhook_id>", methods=["GET", "POST"])
    def edit(self, webhook_id: str) -> Response:
        """A webhook's page; read-only and without the URL if the user may not change it."""
        if request.method == "POST":
            return self._submitted(WebhookForm(), self.changeable(webhook_id))
        webhook = self.visible(webhook_id)
        form = WebhookForm()
        form.fill(webhook)
        return self._form(form, webhook, ())

    def _submitted(self, form: WebhookForm, webhook: Webhook | None) -> Response:
        if request.form.get("action") == "sender":
            form.use_sender(form.preset.data or "")
            return self._form(form, webhook, ())
        if request.form.get("action") == "params":
            return self._form(form, webhook, ())
        listens = request.form.get("action") == "listen"
        if listens:
            form.enabled.data = False
        submission = read_submission(form, request.form, webhook, self.access())
        draft, problems = submission.draft, submission.problems
        if draft is None or problems:
            return self._refused(form, webhook, problems)
        question = None if request.form.get("unknown_dag") == "1" else unknown_dag(draft, webhook)
        if question is not None:
            return self._asked(form, webhook, question)
        try:
            saved = self._save(form, draft, webhook, submission.secrets)
        except DefinitionError as error:
            return self._refused(form, webhook, [error.problem])
        flash(f"{'Saved' if webhook else 'Created'} {saved.name}.")
        if listens and self.access().may_read_runs(saved):
            listening.start(saved, get_receiver().settings, actor=self.access().name)
        target = url_for("WebhooksView.edit", webhook_id=saved.id, new=None if webhook else 1)
        return json_reply({"location": target}) if wants_json() else redirected(target)

    def _save(
        self, form: WebhookForm, draft: Draft, webhook: Webhook | None, secrets: Sequence[NewSecret]
    ) -> Webhook:
        actor, team = self.access().name, self.access().team_for(draft)
        if webhook is None:
            source = self.access().checked_source(draft)
            return service.create(draft, secrets=secrets, actor=actor, team=team, checked_source=source)
        version = int(form.version.data) if (form.version.data or "").isdecimal() else 0
        return service.change(
            webhook.id,
            draft,
            version=version,
            secrets=secrets,
            actor=actor,
            team=team,
            checked=webhook,
            checked_source=self.access().checked_source(draft),
        )

    def _asked(self, form: WebhookForm, webhook: Webhook | None, question: str) -> Response:
        """Ask before saving; without a script, a checkbox of the form confirms."""
        if wants_json():
            return json_reply(
                {"question": f"{question} Save the webhook anyway?", "field": "unknown_dag"}, 422
            )
        return self._form(form, webhook, [Problem(question, "dag_id")], status=422, unknown=question)

    def _refused(self, form: WebhookForm, webhook: Webhook | None, problems: Sequence[Problem]) -> Response:
        if wants_json():
            return json_reply({"problems": by_place(problems)}, 422)
        return self._form(form, webhook, problems, status=422)

    def _form(
        self,
        form: WebhookForm,
        webhook: Webhook | None,
        problems: Sequence[Problem],
        *,
        status: int = 200,
        unknown: str = "",
    ) -> Response:
        may_change = webhook is None or self.access().may_change(webhook)
        url = self._url(webhook, may_change)
        credentials, progress, has_deliveries = _stored(webhook)
        reasons = readiness.reasons_of(webhook) if webhook else []
        return self.show(
            "webhook.html",
            status,
            form=form,
            sections=sections(),
            attributes=attributes,
            webhook=webhook,
            problems=by_place(problems),
            lines=self._lines(form, webhook),
            secrets=secret_fields(form, {held.purpose for held in credentials}, webhook),
            progress=progress,
            has_deliveries=has_deliveries,
            ending=ending(credentials),
            meant={name: expression_meant(form[name].data or "") for name in ("event_type", "dedup")},
            unknown_dag=unknown,
            may_create=self.access().may_create_any,
            url=url,
            curl=offered_curl(webhook, url) if webhook is not None and may_change else "",
            steps=PRESETS.get(form.preset.data or ""),
            reasons=reasons,
            may_unpause=webhook is not None
            and readiness.is_paused(reasons)
            and self.access().may_unpause(webhook.dag_id),
            may_change=may_change,
            right=subject_of(webhook).right("Dag") if webhook else "",
            may_judge=webhook is not None and self.access().may_read_runs(webhook),
            judged=CHOICES,
            may_delete=webhook is not None and self.access().may_change(webhook, "DELETE"),
            is_new=bool(request.args.get("new")),
            **self._routes(webhook),
            **self._listener(webhook, may_change),
        )

    def _listener(self, webhook: Webhook | None, may_change: bool) -> dict[str, Any]:
        """What its page shows of captured requests; see ``listener.html``."""
        if webhook is None or not may_change or not self.access().may_read_runs(webhook):
            return {}
        return captured_requests.values(webhook)

    def _routes(self, webhook: Webhook | None) -> dict[str, Any]:
        """The webhook whose events it gets, and those that get its own, as far as the user may see them."""
        if webhook is None or (webhook.source is None and webhook.routes is None):
            return {"source": None, "routes": ()}
        with transaction() as connection:
            source = webhook_by_id(connection, webhook.source) if webhook.source else None
            routes = routes_of(connection, webhook.id)
        may_see = self.access().may_see
        return {
            "source": source if source is not None and may_see(source) else None,
            "routes": [route for route in routes if may_see(route)],
        }

    def _url(self, webhook: Webhook | None, may_change: bool) -> str | None:
        if webhook is None or not may_change:
            return None
        try:
            return service.url(webhook)
        except (TokenUnreadable, StopIteration):
            return None

    def _lines(self, form: WebhookForm, webhook: Webhook | None) -> list[Line]:
        if request.method == "GET" and request.args.get("clone"):
            webhook = self.visible(request.args["clone"])
        if request.method == "POST":
            pairs = zip(
                request.form.getlist("mapping_name"), request.form.getlist("mapping_expression"), strict=False
            )
            mapping = dict(pairs)
        else:
            mapping = dict(webhook.mapping) if webhook else {}
        return lines(self._params((form.dag_id.data or "").strip()), mapping)

    def _params(self, dag_id: str) -> Any:
        if not dag_id or not self.access().may_see(dag_id):
            return {}
        dag = _dags.get(dag_id, in_transaction)
        return dag.params if dag else {}

    # --- JSON for the scripts ---------------------------------------------------------------

    @expose("/dags.json", methods=["GET"])
    def dags(self) -> Response:
        """DAGs that the user may trigger and whose id contains a text."""
        with transaction() as connection:
            known = listing.known_dag_ids(connection, request.args.get("text", "")[:250], 5 * MAX_SUGGESTIONS)
        return json_reply(self.access().triggerable(known)[:MAX_SUGGESTIONS])

    @expose("/params.json", methods=["GET"])
    def params(self) -> Response:
        """The params of a DAG."""
        found = lines(self._params(request.args.get("dag", "")), {})
        names = ("name", "types", "description", "default", "choices")
        return json_reply([{name: getattr(line, name) for name in names} for line in found])

    @expose("/senders/<name>.json", methods=["GET"])
    def sender(self, name: str) -> Response:
        """A preset."""
        return json_reply(preset_document(name) if name in PRESETS else None)

    @expose("/hook/<webhook_id>/url.json", methods=["GET"])
    def url(self, webhook_id: str) -> Response:
        """The URL with its token."""
        return json_reply({"url": service.url(self.changeable(webhook_id))})

    # --- changes ----------------------------------------------------------------------------

    @expose("/hook/<webhook_id>/enabled", methods=["POST"])
    def enabled(self, webhook_id: str) -> Response:
        """Enable or disable a webhook."""
        webhook = self.changeable(webhook_id)
        on = request.form.get("enabled") == "1"
        self._set_enabled(webhook, on)
        message = f"{'Enabled' if on else 'Disabled'} {webhook.name}."
        if not wants_fragment():
            return self._done(message)
        url = url_for("WebhooksView.enabled", webhook_id=webhook_id)
        return self.changed_row(webhook_id, message, url, {"enabled": "0" if on else "1"})

    @expose("/hook/<webhook_id>/delete", methods=["POST"])
    def delete(self, webhook_id: str) -> Response:
        """Delete a webhook."""
        webhook = self.changeable(webhook_id, "DELETE")
        if not _is_confirmed():
            return self._confirm(f"Delete the webhook {webhook.name}, its URL and its secrets?")
        cancelled = service.delete(ById(webhook_id), actor=self.access().name, checked=webhook)
        waiting = f" Deliveries cancelled before they started: {cancelled}." if cancelled else ""
        return self._done(f"Deleted {webhook.name}.{waiting}", leave=True)

    @expose("/hook/<webhook_id>/rotate", methods=["POST"])
    def rotate(self, webhook_id: str) -> Response:
        """Generate a new URL, or set a new secret."""
        webhook = self.changeable(webhook_id)
        try:
            hours = float(request.form.get("grace_hours", "") or 0)
        except ValueError:
            raise DefinitionError("The grace period must be a number of hours.") from None
        purpose, value = request.form.get("purpose", ""), request.form.get("value", "")
        if not purpose:
            if not hours and not _is_confirmed():
                return self._confirm("Generate a new URL? The current one stops working immediately.")
            service.rotate(ById(webhook.id), actor=self.access().name, grace_hours=hours, checked=webhook)
            old = "The old one keeps working until its time is over." if hours else "The old one is gone."
            return self._done(f"Generated a new URL. {old} Give the new one to the sender.")
        secret = NewSecret(purpose, value.strip("\r\n"))
        service.rotate_secret(
            ById(webhook.id), secret, actor=self.access().name, grace_hours=hours, checked=webhook
        )
        return self._done(f"Stored the new {purpose} secret.")

    @expose("/bulk", methods=["POST"])
    def bulk(self) -> Response:
        """Change or delete several webhooks; the user needs the permission for each of them."""
        acts: dict[str, tuple[Callable[[Webhook], object], str]] = {
            "enable": (self._enable, "Enabled"),
            "disable": (self._disable, "Disabled"),
            "hold": (self._hold, "Put on hold"),
            "release": (self._release, "Released"),
            "delete": (self._delete, "Deleted"),
        }
        act, word = acts.get(request.form.get("do", ""), (None, ""))
        ids = request.form.getlist("id")[:MAX_BULK]
        if act is None or not ids:
            return self._done("No webhooks were selected.")
        method = "DELETE" if request.form["do"] == "delete" else "PUT"
        changed = [self.changeable(webhook_id, method) for webhook_id in ids]
        if request.form["do"] == "delete" and not _is_confirmed():
            return self._confirm(f"Delete {named(changed)}, with their URLs and secrets?")
        for webhook in changed:
            act(webhook)
        return self._done(f"{word} {named(changed)}.")

    def _enable(self, webhook: Webhook) -> None:
        self._set_enabled(webhook, True)

    def _disable(self, webhook: Webhook) -> None:
        self._set_enabled(webhook, False)

    def _hold(self, webhook: Webhook) -> None:
        hold.hold(ById(webhook.id), actor=self.access().name, checked=webhook)

    def _release(self, webhook: Webhook) -> None:
        hold.release(ById(webhook.id), actor=self.access().name, checked=webhook)

    def _set_enabled(self, webhook: Webhook, on: bool) -> None:
        access = self.access()
        team = access.team_for(webhook)
        service.set_enabled(ById(webhook.id), on, actor=access.name, team=team, checked=webhook)

    def _delete(self, webhook: Webhook) -> None:
        service.delete(ById(webhook.id), actor=self.access().name, checked=webhook)

    def _confirm(self, question: str) -> Response:
        """A page that repeats the request with a confirmation; with scripts, a dialog asks instead."""
        own = ("csrf_token", "confirmed")
        fields = [pair for pair in request.form.items(multi=True) if pair[0] not in own]
        return self.show("confirm.html", question=question, fields=fields, back=way_back.after_change())

    def _done(self, message: str, *, leave: bool = False) -> Response:
        """Show a message on the page that the user came from; ``leave``: that page no longer exists."""
        flash(message)
        return redirected(way_back.after_change(leave=leave))


def named(webhooks: Sequence[Webhook]) -> str:
    """``a, b and 3 others``"""
    names = [webhook.name for webhook in webhooks]
    others = len(names) - MAX_NAMED
    if others > 1:
        names[MAX_NAMED:] = [f"{others} others"]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def ending(credentials: Sequence[Credential]) -> list[Credential]:
    """Old tokens and secrets that are still valid, until the end of their grace period."""
    now = utc_now()
    return [
        held for held in credentials if held.expires_at and held.is_valid(now) and held.source_url is None
    ]


def _stored(webhook: Webhook | None) -> tuple[list[Credential], Progress | None, bool]:
    """A webhook's credentials, the progress of its setup, and whether it has deliveries."""
    if webhook is None:
        return [], None, False
    with transaction() as connection:
        has_deliveries = bool(listing.newest(connection, [webhook.id]))
        return list_credentials(connection, webhook.id), progress_of(connection, webhook), has_deliveries


def _is_confirmed() -> bool:
    return request.form.get("confirmed") == "1"
