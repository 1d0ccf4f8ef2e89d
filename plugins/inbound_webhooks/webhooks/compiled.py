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

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from threading import Lock

from inbound_webhooks.errors import DefinitionError, DefinitionUnusable
from inbound_webhooks.event.cached_attribute import cached_attribute
from inbound_webhooks.event.rules import (
    MAX_INLINE_BODY_BYTES,
    MAX_INLINE_COPIED_BYTES,
    MAX_INLINE_LINES,
    Rules,
    compile_rules,
)
from inbound_webhooks.records.webhook import Webhook
from inbound_webhooks.settings import expression_limits
from inbound_webhooks.storage.database import autocommit
from inbound_webhooks.storage.threads import run_in_thread
from inbound_webhooks.storage.webhooks import routes_of
from inbound_webhooks.webhooks.first_state import first_state, is_due

MAX_COMPILED_WEBHOOKS = 1024


@dataclass(frozen=True)
class CompiledWebhook:
    """A webhook's row and the rules that it defines; ``routes`` are the webhooks that get its events."""

    webhook: Webhook
    rules: Rules
    routes: tuple[CompiledWebhook, ...] = ()

    @cached_attribute
    def fans_out(self) -> bool:
        """Whether a request may be several events."""
        return self.rules.each is not None or self.webhook.routes is not None

    @cached_attribute
    def targets(self) -> tuple[CompiledWebhook, ...]:
        """The webhooks that an event may start something of, in their order."""
        has_target = bool(self.webhook.dag_id or self.webhook.asset)
        return (self, *self.routes) if has_target else self.routes

    @cached_attribute
    def first_state(self) -> str:
        """The state in which an accepted delivery is stored."""
        return first_state(self.webhook)

    @cached_attribute
    def is_due_at_once(self) -> bool:
        """Whether the dispatcher starts the target of an accepted delivery as soon as it is stored."""
        return is_due(self.webhook, self.first_state)

    @cached_attribute
    def inline_bytes(self) -> int:
        """As of :class:`Rules`, for the rules of all targets together."""
        if not self.routes:
            return self.rules.inline_bytes
        every = [self.rules, *(route.rules for route in self.routes)]
        copies = sum(len(rules.mapping.lines) or 1 for rules in every)
        if copies > MAX_INLINE_LINES or any(rules.inline_bytes < 0 for rules in every):
            return -1
        return min(MAX_INLINE_BODY_BYTES, MAX_INLINE_COPIED_BYTES // copies)


@dataclass(frozen=True)
class Uncompilable:
    """A webhook's row that does not compile, and why."""

    webhook: Webhook
    reason: str


def compile_webhook(webhook: Webhook) -> CompiledWebhook:
    """Compile a webhook; takes up to 0.2 s of the processor.

    :raises DefinitionError: it does not compile; names the field
    """
    return CompiledWebhook(webhook, compile_rules(webhook, expression_limits()))


def load_compiled(webhook: Webhook) -> CompiledWebhook:
    """Compile a webhook with its routes, which are read where it has some; blocks.

    The routes may be newer than the webhook, but then its version is another one by now: a commit finds that.

    :raises DefinitionError: one of them does not compile
    """
    compiled = compile_webhook(webhook)
    if not webhook.route_count:
        return compiled
    found = autocommit(partial(routes_of, source_id=webhook.id))
    return replace(compiled, routes=tuple(map(_ROUTES.get, found)))


class _CompiledRoutes:
    """Compiled routes by id, for any thread: a change of one of them compiles no other one again."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._held: OrderedDict[str, CompiledWebhook] = OrderedDict()

    def get(self, webhook: Webhook) -> CompiledWebhook:
        with self._lock:
            held = self._held.get(webhook.id)
        if held is None or held.webhook != webhook:
            held = compile_webhook(webhook)
            with self._lock:
                self._held[webhook.id] = held
                while len(self._held) > MAX_COMPILED_WEBHOOKS:
                    self._held.popitem(last=False)
        return held


_ROUTES = _CompiledRoutes()


class CompiledWebhookCache:
    """Compiled webhooks by id; evicts the oldest one when full.

    Belongs to one event loop. A webhook that is missing is compiled in a thread, once for all requests that
    wait for it. One that does not compile is cached too, or each of its requests would compile it again.
    """

    def __init__(
        self,
        size: int = MAX_COMPILED_WEBHOOKS,
        *,
        compile: Callable[[Webhook], CompiledWebhook] = load_compiled,
    ) -> None:
        self._size = size
        self._compile = compile
        self._cached: OrderedDict[str, CompiledWebhook | Uncompilable] = OrderedDict()
        self._compiling: dict[tuple[str, int], asyncio.Task[None]] = {}

    def cached(self, webhook: Webhook) -> CompiledWebhook | None:
        """The compiled form of a stored webhook, if it is cached.

        :raises DefinitionUnusable: it is known not to compile
        """
        found = self._cached.get(webhook.id)
        # Identity first: comparing all fields costs more than the rest of a lookup.
        if found is None or (found.webhook is not webhook and found.webhook != webhook):
            return None
        if isinstance(found, Uncompilable):
            raise DefinitionUnusable(found.reason)
        return found

    async def get(self, webhook: Webhook) -> CompiledWebhook:
        """The compiled form of a stored webhook.

        :raises DefinitionUnusable: an older version of the plugin stored it, and this one cannot compile it
        """
        while (found := self.cached(webhook)) is None:
            key = webhook.id, webhook.version
            if key not in self._compiling:
                # A task of its own: the request that began it may be cancelled while others wait for it.
                self._compiling[key] = asyncio.ensure_future(self._compile_in_thread(webhook))
                self._compiling[key].add_done_callback(partial(self._end, key))
            await asyncio.shield(self._compiling[key])
        return found

    def _end(self, key: tuple[str, int], task: asyncio.Task[None]) -> None:
        del self._compiling[key]
        if not task.cancelled():
            task.exception()  # asyncio logs errors that no task has looked at; every request may be gone

    async def _compile_in_thread(self, webhook: Webhook) -> None:
        made: CompiledWebhook | Uncompilable
        try:
            made = await run_in_thread(partial(self._compile, webhook))
        except DefinitionError as error:
            made = Uncompilable(webhook, f"The webhook's definition is invalid: {error.message}")
        self._cached[webhook.id] = made
        # The newest stays: the requests that wait for it look it up.
        self._cached.move_to_end(webhook.id)
        while len(self._cached) > self._size:
            self._cached.popitem(last=False)
