"""A webhook with everything in it compiled, once for each version."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from threading import Lock
from typing import TypeVar

from inbound_webhooks.errors import DefinitionError, DefinitionUnusable, InvalidDefinition, TemplateRefused
from inbound_webhooks.event.cached_attribute import cached_attribute
from inbound_webhooks.event.conf.mapping import ConfMapping, compile_mapping
from inbound_webhooks.event.data_sources import DataSources
from inbound_webhooks.event.expressions.engine import Expression, compile_condition, compile_expression
from inbound_webhooks.event.handshakes.exchange import Handshake
from inbound_webhooks.event.handshakes.registry import HANDSHAKES
from inbound_webhooks.event.ip_allow_list import IpAllowList
from inbound_webhooks.event.response import ResponseTemplate, compile_response
from inbound_webhooks.event.verification.registry import RequiredScheme, credential_names, read_scheme
from inbound_webhooks.records.webhook import Webhook

Compiled = TypeVar("Compiled")


@dataclass(frozen=True)
class CompiledWebhook:
    """A webhook with all that it says compiled; what it does not ask for is None or empty."""

    webhook: Webhook
    mapping: ConfMapping
    response: ResponseTemplate | None
    verification: tuple[RequiredScheme, ...]
    addresses: IpAllowList | None
    handshake: Handshake | None
    event_type: Expression | None
    filter: Callable[[DataSources], bool] | None
    dedup: Expression | None

    @cached_attribute
    def credential_names(self) -> frozenset[str]:
        """Headers and query fields that the sender is proved with, in lower case."""
        return credential_names(self.verification)


def compile_webhook(webhook: Webhook) -> CompiledWebhook:
    """Compile a webhook.

    :raises DefinitionError: something in it does not compile; names the field
    """
    return CompiledWebhook(
        webhook,
        mapping=compile_mapping(webhook.mapping),
        response=_response(webhook),
        verification=tuple(read_scheme(settings) for settings in webhook.verification),
        addresses=IpAllowList(allowed=tuple(webhook.allowed_addresses))
        if webhook.allowed_addresses
        else None,
        handshake=_handshake(webhook),
        event_type=_named("event_type", compile_expression, webhook.event_type),
        filter=_named("filter", compile_condition, webhook.filter),
        dedup=_named("dedup", compile_expression, webhook.dedup),
    )


def _response(webhook: Webhook) -> ResponseTemplate | None:
    compile_template = partial(compile_response, webhook.response_content_type)
    return _named("response_template", compile_template, webhook.response_template)


def _handshake(webhook: Webhook) -> Handshake | None:
    name = webhook.handshake
    if name is None:
        return None
    if name not in HANDSHAKES:
        raise InvalidDefinition("handshake", f"{name!r} is none of {', '.join(HANDSHAKES)}")
    if HANDSHAKES[name].needs_verification and not webhook.verification:
        raise InvalidDefinition("handshake", f"{name} needs a proof of the sender")
    return HANDSHAKES[name]


def _named(field: str, compile_source: Callable[[str], Compiled], source: str | None) -> Compiled | None:
    if source is None:
        return None
    try:
        return compile_source(source)
    except TemplateRefused as error:
        raise InvalidDefinition(field, error.message) from None


class CompiledWebhookCache:
    """Compiled definitions of stored webhooks; past its size the oldest goes."""

    def __init__(self, size: int = 1024) -> None:
        self._size = size
        self._lock = Lock()
        self._held: OrderedDict[str, CompiledWebhook] = OrderedDict()

    def get(self, webhook: Webhook) -> CompiledWebhook:
        """The compiled definition of a webhook as it is in the database.

        :raises DefinitionUnusable: what an older version of ours could compile this one cannot
        """
        with self._lock:
            held = self._held.get(webhook.id)
        if held is None or (held.webhook is not webhook and held.webhook != webhook):
            held = _compile_stored(webhook)
            with self._lock:
                self._held[webhook.id] = held
                while len(self._held) > self._size:
                    self._held.popitem(last=False)
        return held


def _compile_stored(webhook: Webhook) -> CompiledWebhook:
    try:
        return compile_webhook(webhook)
    except DefinitionError as error:
        raise DefinitionUnusable(f"The webhook's definition cannot be used: {error.message}") from None
