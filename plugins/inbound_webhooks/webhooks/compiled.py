"""A stored webhook with its rules compiled, and the cache of them.

A webhook is cached in six places, each with a limit and an invalidation of its own:

- ``deliveries.store.base.DeliveryStore``: 20,000 webhooks, for one second; the commit checks the version.
- ``storage.postgres_bulk.WebhookCache``: 20,000 webhooks, until version or newest fetched key differ.
- :class:`CompiledWebhookCache`: 1,024 webhooks, until the stored row differs.
- ``airflow_bridge.dag_cache.DagCache``: 500 DAGs, until the hash differs; checked every two seconds.
- ``receiver.limits.Limits``: one entry a webhook with a backlog limit, counted again after one second.
- ``receiver.last_use.LastUse``: 100,000 credentials, written again after one minute.
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

    :raises DefinitionError: something in it does not compile; names the field
    """
    return CompiledWebhook(webhook, compile_rules(webhook))


class CompiledWebhookCache:
    """Compiled webhooks by id; past its size the oldest goes."""

    def __init__(self, size: int = MAX_COMPILED_WEBHOOKS) -> None:
        self._size = size
        self._lock = Lock()
        self._cached: OrderedDict[str, CompiledWebhook] = OrderedDict()

    def get(self, webhook: Webhook) -> CompiledWebhook:
        """The compiled form of a webhook as the database has it.

        :raises DefinitionUnusable: it compiled in an older version and does not in this one
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
