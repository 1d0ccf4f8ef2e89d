"""Who may come in: what is known of a request before its body is read, and the credentials that let it in."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Sequence

import msgspec

from inbound_webhooks.errors import AddressNotAllowed, MethodNotAllowed, TokenUnreadable, WebhookDisabled
from inbound_webhooks.records.credential import Credential
from inbound_webhooks.records.webhook import Webhook
from inbound_webhooks.storage.encryption import decrypt
from inbound_webhooks.webhooks.compiled import CompiledWebhook

METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST"})

MIN_COMPARISONS = 8
"""Comparisons for each request: as many for an unknown id as for a webhook with so many tokens, seven of them
in their grace."""

_NO_TOKEN = secrets.token_hex(32).encode()


class RequestHead(msgspec.Struct, frozen=True, kw_only=True):
    """What is known before the body is read; ``declared_length`` is Content-Length in bytes, None where there
    is none that is a number."""

    method: str
    webhook_id: str
    token: str
    declared_length: int | None
    source_ip: str


class Admission(msgspec.Struct, frozen=True):
    """A request whose token was right; ``secrets`` are the valid ones, the newest first.

    Where it is not fresh the webhook is as it was a moment ago: what comes of it counts if a commit says that
    nothing has changed.
    """

    head: RequestHead
    definition: CompiledWebhook
    token: Credential
    secrets: tuple[Credential, ...] = ()
    is_fresh: bool = True

    @property
    def webhook(self) -> Webhook:
        """The webhook that was called."""
        return self.definition.webhook

    def check(self) -> None:
        """Refuse what the webhook, as it is, does not take.

        :raises MethodNotAllowed: another method than the four
        :raises WebhookDisabled: it is disabled
        :raises AddressNotAllowed: it has a list of addresses, and this one is not in it
        """
        if self.head.method not in METHODS:
            raise MethodNotAllowed
        if not self.webhook.enabled:
            raise WebhookDisabled(self.webhook.disabled_status)
        addresses = self.definition.addresses
        if addresses is not None and not addresses.admits(self.head.source_ip):
            raise AddressNotAllowed

    def plain_secrets(self) -> dict[str, list[str]]:
        """The secrets by what they are for, decrypted.

        :raises TokenUnreadable: one cannot be decrypted
        """
        plain: dict[str, list[str]] = {}
        for secret in self.secrets:
            plain.setdefault(secret.purpose, []).append(decrypt(secret.encrypted))
        return plain

    def secret(self, purpose: str, index: int) -> Credential:
        """The secret at a place of :meth:`plain_secrets`."""
        return [secret for secret in self.secrets if secret.purpose == purpose][index]


def matching_token(tokens: Sequence[Credential], presented: str) -> Credential | None:
    """Compare with every token, and with made-up ones where there are few.

    :raises TokenUnreadable: none fits, and one could not be decrypted
    """
    unreadable, match = False, None
    given = presented.encode("utf-8", "surrogateescape")
    for token in tokens:
        try:
            if hmac.compare_digest(decrypt(token.encrypted).encode(), given):
                match = token
        except TokenUnreadable:
            unreadable = True
    for _ in range(MIN_COMPARISONS - len(tokens)):
        hmac.compare_digest(_NO_TOKEN, given)
    if match is None and unreadable:
        raise TokenUnreadable
    return match
