"""What the pages do with holds: put webhooks on hold and release them, one or all."""

from __future__ import annotations

from flask import Response, flash, request, url_for
from flask_appbuilder import expose

from inbound_webhooks.errors import DefinitionError, NotPermitted
from inbound_webhooks.storage.webhooks import ById
from inbound_webhooks.web import way_back
from inbound_webhooks.web.base_view import redirected, wants_fragment
from inbound_webhooks.web.webhooks import WebhookBaseView
from inbound_webhooks.webhooks import hold


class HoldsView(WebhookBaseView):
    """Actions on holds."""

    default_view = "of_all"

    @expose("/hook/<webhook_id>/hold", methods=["POST"])
    def of_one(self, webhook_id: str) -> Response:
        """Put a webhook on hold, or release it."""
        webhook, on = self.changeable(webhook_id), request.form.get("hold") == "1"
        actor = self.access().name
        if on:
            hold.hold(ById(webhook.id), actor=actor, checked=webhook)
        else:
            hold.release(ById(webhook.id), actor=actor, pace=_pace(), checked=webhook)
        message = f"{webhook.name} is on hold." if on else f"Released {webhook.name}."
        if not wants_fragment():
            flash(message)
            return redirected(way_back.after_change())
        url = url_for("HoldsView.of_one", webhook_id=webhook_id)
        return self.changed_row(webhook_id, message, url, {"hold": "0" if on else "1"})

    @expose("/holds", methods=["POST"])
    def of_all(self) -> Response:
        """Put all webhooks on hold, or release them."""
        access = self.access()
        if not access.may_hold_all:
            raise NotPermitted("A hold of all webhooks requires the permission to edit webhooks.")
        if request.form.get("hold") == "1":
            done = hold.hold_all(actor=access.name, access=access)
            is_whole = "All webhooks are on hold, and new ones will be too." if done.covers_new else ""
            first = is_whole or f"{done.changed:,} more webhooks are on hold; new ones will start runs."
        else:
            done = hold.release_all(actor=access.name, pace=_pace(), access=access)
            first = f"Released {done.changed:,} webhook{'' if done.changed == 1 else 's'}."
            if done.covers_new:
                first += " New webhooks are still put on hold."
        flash(" ".join([first, *done.sentences]))
        return redirected(way_back.after_change())


def _pace() -> hold.Pace:
    """The pace that the form asks for."""
    per_minute = request.form.get("per_minute", "").strip()
    try:
        number = int(per_minute) if per_minute else None
    except ValueError:
        raise DefinitionError("The rate must be a number of deliveries a minute.") from None
    return hold.Pace(per_minute=number, window=request.form.get("window", "").strip() or None)
