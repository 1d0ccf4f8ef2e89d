"""Fetches public keys that vendors rotate, for webhooks that ask for it; never during a request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

from cryptography import x509

from inbound_webhooks.dispatch.key_fetch import KeyFetch
from inbound_webhooks.errors import DefinitionError, KeyFetchFailed
from inbound_webhooks.event.verification.public_keys import (
    is_key_url,
    key_group,
    refreshes_keys,
    standing_key_url,
)
from inbound_webhooks.event.verification.registry import RequiredScheme, check_secret, read_scheme
from inbound_webhooks.monitoring.clock import utc_now
from inbound_webhooks.monitoring.log_lines import get_logger
from inbound_webhooks.monitoring.loop import attempt
from inbound_webhooks.records.credential import Credential
from inbound_webhooks.records.webhook import Webhook
from inbound_webhooks.storage.credentials import delete_fetched_keys, list_credentials, save_fetched_key
from inbound_webhooks.storage.database import begin_writing, transaction
from inbound_webhooks.storage.encryption import encrypt
from inbound_webhooks.storage.rejections import wanted_key_urls
from inbound_webhooks.storage.webhooks import ById, find_webhook, webhooks_with_refreshed_keys

log = get_logger(__name__)

LOOK_SECONDS = 5.0
REFRESH_AFTER = timedelta(hours=6)
"""Google allows caching its key set for that long (Cache-Control), and publishes new keys days ahead."""

AGAIN_AFTER = timedelta(minutes=10)
"""A URL that a request named is not fetched again before, whether that failed or its key was pushed out."""

NAMED_WITHIN = timedelta(days=3)
"""Age up to which refused requests count: SNS repeats for an hour at most."""

MAX_KEYS = 10
"""Fetched keys of a webhook. Anyone who knows its URL can name key URLs, so their number is limited."""

MAX_KEYS_PER_GROUP = 3
"""Fetched keys of one region of Amazon SNS, which signs with one, and with two around a change."""


class KeyRefresher:
    """Looks for missing and old keys every few seconds; several processes may do so at once."""

    def __init__(
        self,
        fetch: Callable[[str], str] | None = None,
        *,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._fetch = fetch or KeyFetch()
        self._now = now
        self._tried_at: dict[tuple[str, str], datetime] = {}
        """Webhook's id and URL -> time. Two webhooks never wait for each other's failures."""

    def refresh_due(self) -> int:
        """Fetch missing and old keys; return how many were saved."""
        with transaction() as connection:
            webhooks = webhooks_with_refreshed_keys(connection)
        # One webhook whose keys cannot be handled does not keep the others from theirs.
        return sum(attempt("keys", partial(self._refresh, webhook), 0) for webhook in webhooks)

    def _refresh(self, webhook: Webhook) -> int:
        now = self._now()
        with transaction() as connection:
            held = list_credentials(connection, webhook.id)
            named = wanted_key_urls(connection, webhook.id, now - NAMED_WITHIN)
        fetched = {key.source_url: key for key in held if key.source_url}
        # Expired entries are dropped here, so the dict cannot grow without end.
        self._tried_at = {tried: at for tried, at in self._tried_at.items() if now - at < AGAIN_AFTER}
        tried = {url for tried_for, url in self._tried_at if tried_for == webhook.id}
        # First those of addresses with few attempts, then the newest: without turns, a sender of forged
        # messages would have its URLs fetched first for as long as it sends.
        attempts = Counter(address for url, address in named if url in tried)
        in_turn = [url for url, _ in sorted(named, key=lambda each: attempts[each[1]])]
        saved = 0
        for required in _refreshing(webhook):
            due = [url for url in _due_urls(required, fetched, in_turn, now) if url not in tried]
            # One key per round, since anyone who knows the webhook's URL can name key URLs.
            saved += sum(self._save(webhook, required, url) for url in due[:1])
        return saved

    def _save(self, webhook: Webhook, required: RequiredScheme, url: str) -> int:
        """Fetch a key and store it; until AGAIN_AFTER the URL is not tried again."""
        now = self._now()
        self._tried_at[webhook.id, url] = now
        try:
            # Checked before it is stored: an error page must not replace a working key.
            text = self._fetch(url)
            check_secret(required.scheme, text)
        except (KeyFetchFailed, DefinitionError) as error:
            log.warning("key not fetched action=key_not_fetched url=%s reason=%s", url, error.message)
            return 0
        with transaction() as connection:
            begin_writing(connection)
            # The fetch took a while: the webhook may have been deleted. The lock keeps it until the commit.
            if find_webhook(connection, ById(webhook.id), locked=True) is None:
                return 0
            save_fetched_key(
                connection,
                webhook.id,
                required.purpose,
                url,
                encrypt(text),
                now=now,
                expires_at=_end_of(text),
            )
            keys = [key for key in list_credentials(connection, webhook.id) if key.source_url]
            delete_fetched_keys(connection, _superfluous(keys, url, now))
        log.info("key fetched action=key_fetched webhook=%s url=%s", webhook.id, url)
        return 1


def _refreshing(webhook: Webhook) -> list[RequiredScheme]:
    try:
        verification = [read_scheme(settings) for settings in webhook.verification]
    except DefinitionError:
        return []  # a damaged row; the pages report it
    return [required for required in verification if refreshes_keys(required.scheme)]


def _due_urls(
    required: RequiredScheme, fetched: dict[str, Credential], named: list[str], now: datetime
) -> list[str]:
    """URLs to fetch now: the issuer's key set if it is old, and certificates that are not stored."""
    standing = standing_key_url(required.scheme)
    if standing is not None:
        held = fetched.get(standing)
        return [] if held is not None and now - held.created_at < REFRESH_AFTER else [standing]
    return [url for url in named if url not in fetched and is_key_url(required.scheme, url)]


def _superfluous(keys: list[Credential], newest_url: str, now: datetime) -> list[Credential]:
    """The keys beyond the limits. Those that verify messages stay: forged ones never do.

    Signatures are checked against all stored keys, so more of them would only cost time.
    """
    by_worth = sorted(
        keys,
        key=lambda key: (
            key.source_url == newest_url,
            key.is_valid(now),
            key.last_used_at is not None,
            key.last_used_at or key.created_at,
        ),
        reverse=True,
    )
    kept: Counter[str] = Counter()
    superfluous = []
    for key in by_worth:
        group = key_group(key.source_url or "")
        if kept[group] < MAX_KEYS_PER_GROUP and kept.total() < MAX_KEYS:
            kept[group] += 1
        else:
            superfluous.append(key)
    return superfluous


def _end_of(text: str) -> datetime | None:
    """Expiry of a certificate, None for other kinds of keys."""
    if "-----BEGIN CERTIFICATE-----" not in text:
        return None
    return x509.load_pem_x509_certificate(text.encode()).not_valid_after_utc
