"""A stored webhook with its compiled rules, and their cache.

A webhook is cached in six places, each with its own limit and invalidation:

- ``deliveries.store.base.DeliveryStore``: 20,000 webhooks, for one second; the commit checks the version.
- ``storage.postgres_bulk.WebhookCache``: 20,000 webhooks, until the version or a fetched key changes.
- :class:`CompiledWebhookCache`: 1,024 webhooks, until the stored row changes.
- ``airflow_bridge.dag_cache.DagCache``: 500 DAGs, until the hash changes; checked every two seconds.
- ``receiver.limits.Limits``: one entry per webhook with a backlog limit, for one second.
- ``receiver.last_use.LastUse``: 100,000 credentials, for one minute.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock

from inbound_webhooks.errors import DefinitionError, DefinitionUnusable
from inbound_webhooks.event.rules import Rules, compile_rules
from inbound_webhooks.records.webhook import Webhook

MAX_COMPILED_WEBHOOKS = 1024


@dataclass(frozen=True)
class CompiledWebhook:
    """A webhook's row and the rules that it defines."""

    webhook: Webhook
    rules: Rules


def compile_webhook(webhook: Webhook) -> CompiledWebhook:
    """Compile a webhook.

    :raises DefinitionError: it does not compile; names the field
    """
    return CompiledWebhook(webhook, compile_rules(webhook))


class CompiledWebhookCache:
    """Compiled webhooks by id; evicts the oldest one when full."""

    def __init__(self, size: int = MAX_COMPILED_WEBHOOKS) -> None:
        self._size = size
        self._lock = Lock()
        self._cached: OrderedDict[str, CompiledWebhook] = OrderedDict()

    def get(self, webhook: Webhook) -> CompiledWebhook:
        """The compiled form of a stored webhook.

        :raises DefinitionUnusable: an older version of the plugin stored it, and this one cannot compile it
        """
        with self._lock:
            cached = self._cached.get(webhook.id)
        # Identity first: comparing all fields costs more than the rest of a lookup.
        if cached is None or (cached.webhook is not webhook and cached.webhook != webhook):
            try:
                cached = compile_webhook(webhook)
            except DefinitionError as error:
                raise DefinitionUnusable(f"The webhook's definition is invalid: {error.message}") from None
            with self._lock:
                self._cached[webhook.id] = cached
                while len(self._cached) > self._size:
                    self._cached.popitem(last=False)
        return cached
