"""What is known of a request before its body is read, and the credentials that admit it."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from datetime import datetime
from operator import attrgetter
from secrets import token_hex

import msgspec

from inbound_webhooks.errors import (
    AddressNotAllowed,
    ClientAddressReplaced,
    MethodNotAllowed,
    TokenUnreadable,
    UnknownWebhook,
    WebhookDisabled,
)
from inbound_webhooks.receiver.client_address import UNKNOWN
from inbound_webhooks.records.credential import Credential
from inbound_webhooks.records.webhook import Webhook
from inbound_webhooks.storage.encryption import decrypt
from inbound_webhooks.webhooks.compiled import CompiledWebhook

METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST"})

MIN_COMPARISONS = 8
"""Comparisons for each request: an unknown id costs as many as a webhook with this many tokens, of which all
but one are in their grace period."""

_SOURCE_URL = attrgetter("source_url")
_NO_TOKEN = token_hex(32).encode()


class RequestHead(msgspec.Struct, frozen=True, kw_only=True):
    """What is known before the body is read; ``declared_length`` is Content-Length in bytes, None where there
    is none that is a number.

    ``webhook_id`` is the id in the URL: that of a delivery where ``is_of_result``, of a task's wait where
    ``is_call``.
    """

    method: str
    webhook_id: str
    token: str
    declared_length: int | None
    source_ip: str
    is_of_result: bool = False
    is_call: bool = False


class Credentials(msgspec.Struct, frozen=True):
    """A webhook whose token a request has, and its valid secrets, the newest first."""

    webhook: Webhook
    token: Credential
    secrets: tuple[Credential, ...]


class Admission(msgspec.Struct, frozen=True):
    """A request whose token is right; ``secrets`` are the valid ones, the newest first.

    Without ``is_fresh`` the webhook is as it was up to a second ago: the result counts once a commit finds
    the version unchanged.
    """

    head: RequestHead
    compiled: CompiledWebhook
    token: Credential
    secrets: tuple[Credential, ...] = ()
    is_fresh: bool = True
    refusal: WebhookDisabled | None = None
    """The response is known already, but a user listens for the request, whose body is read for that."""

    def check(self) -> None:
        """Check method, state and address.

        :raises MethodNotAllowed: another method than the four
        :raises WebhookDisabled: it is disabled
        :raises ClientAddressReplaced: it has a list of addresses, and the sender's is unknown
        :raises AddressNotAllowed: it has a list of addresses, and this one is not in it
        """
        if self.head.method not in METHODS:
            raise MethodNotAllowed
        check_state(self.compiled, self.head.source_ip)

    @property
    def webhook_id(self) -> str:
        """The webhook in whose list a rejection appears."""
        return self.compiled.webhook.id

    @property
    def fetched_from(self) -> frozenset[str]:
        """The URLs from which its public keys have been fetched."""
        return frozenset(filter(None, map(_SOURCE_URL, self.secrets)))

    def secret(self, purpose: str, index: int) -> Credential:
        """The secret at a place among those for its purpose."""
        return [secret for secret in self.secrets if secret.purpose == purpose][index]


def check_state(compiled: CompiledWebhook, source_ip: str) -> None:
    """Check that a webhook is enabled and admits an address; raises as :meth:`Admission.check` does."""
    webhook, addresses = compiled.webhook, compiled.rules.ip_allow_list
    if not webhook.enabled:
        raise WebhookDisabled(webhook.disabled_status)
    if addresses is not None and not addresses.admits(source_ip):
        raise ClientAddressReplaced if source_ip == UNKNOWN else AddressNotAllowed


def credentials_of(
    head: RequestHead, found: tuple[Webhook, Sequence[Credential]] | None, now: datetime
) -> Credentials:
    """The webhook whose token the request has, and its secrets.

    :param found: a webhook and its credentials, the newest first; None where there is no such webhook
    :raises UnknownWebhook: there is none, or the token is not one of its own
    :raises TokenUnreadable: its token cannot be decrypted
    """
    tokens: list[Credential] = []
    secrets: list[Credential] = []
    for held in found[1] if found else ():
        if held.expires_at is None or held.expires_at > now:
            (secrets if held.purpose else tokens).append(held)
    token = matching_token(tokens, head.token)
    # A webhook that gets the events of another one has no URL that works.
    if found is None or token is None or found[0].source is not None:
        raise UnknownWebhook
    return Credentials(found[0], token, tuple(secrets))


def matching_token(tokens: Sequence[Credential], presented: str) -> Credential | None:
    """Compare with every token, and with made-up ones where there are few.

    :raises TokenUnreadable: none matches, and one could not be decrypted
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
