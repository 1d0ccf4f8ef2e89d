"""The webhook that a form describes, as typed, without storing it."""

from __future__ import annotations

from flask import request

from inbound_webhooks.errors import DefinitionError, Problem
from inbound_webhooks.monitoring.clock import utc_now
from inbound_webhooks.records.webhook import Draft, Webhook
from inbound_webhooks.web.forms import WebhookForm
from inbound_webhooks.web.submission import not_permitted
from inbound_webhooks.web.webhooks import WebhookBaseView
from inbound_webhooks.webhooks import service


class TypedWebhookView(WebhookBaseView):
    """A view whose routes take the webhook's form."""

    def typed(self, stored: Webhook | None) -> tuple[Webhook | None, list[Problem]]:
        """The webhook as typed, and the form's problems; None if there are any."""
        form = WebhookForm()
        # A preview does not need a name.
        problems = [problem for problem in form.problems(request.form) if problem.field != "name"]
        return None if problems else self._draft(form, problems, stored), problems

    def _draft(self, form: WebhookForm, problems: list[Problem], stored: Webhook | None) -> Webhook | None:
        try:
            webhook = self.unchecked(form, stored)
            if not self.access().may_change(webhook, "PUT" if stored else "POST"):
                problems.append(not_permitted(webhook))
                return None
            service.check(webhook)
        except DefinitionError as error:
            problems.append(error.problem)
            return None
        return webhook

    def unchecked(self, form: WebhookForm, stored: Webhook | None) -> Webhook:
        """The webhook as typed, perhaps with problems.

        :raises DefinitionError: a field cannot be parsed
        """
        draft: Draft = form.draft(request.form, (), stored)
        now = utc_now()
        named = vars(draft) | {"name": draft.name or "(not saved yet)"}
        team = self.access().team_for(draft)
        known = {"id": stored.id, "route_count": stored.route_count} if stored else {"id": ""}
        return Webhook(created_at=now, updated_at=now, team=team, **known, **named)
