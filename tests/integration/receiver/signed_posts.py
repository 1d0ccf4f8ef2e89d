"""The requests of ``tests/unit/presets/cases`` at the real endpoint: with their secrets, at their time."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from msgspec import structs

from tests.infrastructure.asgi_endpoint import AsgiEndpoint, Reply
from tests.infrastructure.loop import new_receiver
from tests.infrastructure.webhooks_builder import (
    ACTOR,
    Hook,
    now,
    rotate_secret_for_years,
    rows,
    store_webhook,
)
from tests.unit.presets.signed_cases import Case

PUBLIC_URL = "https://hooks.example.com"
OF_OURS = re.compile(rf"{PUBLIC_URL}/webhook/([\w-]{{10}})/([0-9a-f]{{64}})(\?.*)?")
"""A URL that a vendor signed and that a webhook of ours can have."""

YEARS_HOURS = 24 * 365 * 10
"""A grace that is not over at the time of any case: some are of 2018, one is of next year."""

FILLED_IN = {"verify": "a verify token of a test", "signing": "a secret of a test"}
"""Secrets that a preset cannot do without and a case does not name."""


@dataclass(frozen=True)
class Sender:
    """A webhook with a case's preset and secrets, and an endpoint whose clock shows the case's time."""

    case: Case
    hook: Hook
    endpoint: AsgiEndpoint
    receiver: Any

    @classmethod
    def of(
        cls,
        case: Case,
        secrets: Mapping[str, str] | None = None,
        *,
        in_front: Sequence[Any] = (),
        **fields: Any,
    ) -> Sender:
        """``secrets`` are other ones than the case's, purpose -> secret; ``in_front`` as of AsgiEndpoint."""
        from inbound_webhooks.settings import Settings

        given = {purpose: held[0] for purpose, held in case.secrets.items()} if secrets is None else secrets
        needed = {secret.purpose for secret in case.preset.secrets if not secret.optional}
        filled = {purpose: FILLED_IN[purpose] for purpose in needed} | dict(given)
        options = {"verification": case.verification} if case.verification else {}
        hook = store_webhook(preset=case.preset.name, secrets=filled, **options | fields)
        receiver = new_receiver(Settings(public_url=PUBLIC_URL), now=lambda: case.now)
        endpoint = AsgiEndpoint(receiver=lambda: receiver, in_front=in_front)
        sender = cls(case, _at_the_signed_url(hook, case), endpoint, receiver)
        for secret in () if secrets is not None else case.secrets.get("signing", ())[1:]:
            sender.rotate(secret, grace_hours=YEARS_HOURS)
        return sender

    def rotate(self, secret: str, *, grace_hours: float = 0) -> None:
        """Give the webhook another signing secret."""
        from inbound_webhooks.webhooks import service
        from inbound_webhooks.webhooks.secrets import NewSecret

        if grace_hours == YEARS_HOURS:
            rotate_secret_for_years(self.hook.id, "signing", secret, grace_hours=grace_hours)
        else:
            new = NewSecret("signing", secret)
            service.rotate_secret(self.hook.id, new, actor=ACTOR, grace_hours=grace_hours)

    def send(self, *, without: str = "", **changes: Any) -> Reply:
        """Send the case's request with something changed: ``body``, ``headers``, ``query_string``.

        ``without`` is a header, in lower case, that is left out.
        """
        request = structs.replace(self.case.request, **changes)
        headers = [(name, value) for name, value in request.headers if name.lower() != without]
        return self.endpoint.request(
            request.method,
            self.hook.path,
            query=request.query_string.encode(),
            headers=[*headers, ("content-length", str(len(request.body)))],
            chunks=[request.body],
        )

    def rejections(self) -> list[Any]:
        """What is noted of refused requests."""
        self.receiver.rejections.flush()
        return rows("rejection")


def _at_the_signed_url(hook: Hook, case: Case) -> Hook:
    """The same webhook once more, with the id and token of the URL that the case's vendor signed."""
    from inbound_webhooks.storage.credentials import insert_secret, insert_token, list_credentials
    from inbound_webhooks.storage.database import transaction
    from inbound_webhooks.storage.encryption import encrypt
    from inbound_webhooks.storage.webhooks import delete_webhook, insert_webhook, webhook_by_id

    signed = OF_OURS.fullmatch(case.request.url)
    if signed is None:
        return hook
    webhook_id, token, _ = signed.groups()
    with transaction() as connection:
        stored = webhook_by_id(connection, hook.id)
        held = list_credentials(connection, hook.id)
        delete_webhook(connection, hook.id)
        insert_webhook(connection, replace(stored, id=webhook_id))
        insert_token(connection, webhook_id, encrypt(token), now())
        for secret in held:
            if secret.purpose:
                insert_secret(connection, webhook_id, secret.purpose, secret.encrypted, now())
    return Hook(webhook_id, token, hook.name)
