"""A webhook with everything in it compiled, once for each version."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock

from inbound_webhooks.errors import DefinitionError, DefinitionUnusable
from inbound_webhooks.event.response import ResponseTemplate, compile_response
from inbound_webhooks.event.run_conf import ConfMapping, compile_mapping
from inbound_webhooks.storage.queries import Webhook


@dataclass(frozen=True)
class Definition:
    """A webhook with its mapping and response compiled."""

    webhook: Webhook
    mapping: ConfMapping
    response: ResponseTemplate | None


def compile_definition(webhook: Webhook) -> Definition:
    """Compile a webhook's mapping and response.

    :raises DefinitionError: one of them does not compile
    """
    template = webhook.response_template
    response = None if template is None else compile_response(webhook.response_content_type, template)
    return Definition(webhook, compile_mapping(webhook.mapping), response)


class DefinitionCache:
    """Compiled definitions of stored webhooks; past its size the oldest goes."""

    def __init__(self, size: int = 1024) -> None:
        self._size = size
        self._lock = Lock()
        self._held: OrderedDict[str, Definition] = OrderedDict()

    def get(self, webhook: Webhook) -> Definition:
        """The compiled definition of a webhook as it is in the database.

        :raises DefinitionUnusable: what an older version of ours could compile this one cannot
        """
        with self._lock:
            held = self._held.get(webhook.id)
        if held is None or held.webhook != webhook:
            held = _compile_stored(webhook)
            with self._lock:
                self._held[webhook.id] = held
                while len(self._held) > self._size:
                    self._held.popitem(last=False)
        return held


def _compile_stored(webhook: Webhook) -> Definition:
    try:
        return compile_definition(webhook)
    except DefinitionError as error:
        raise DefinitionUnusable(f"The webhook's definition cannot be used: {error.message}") from None
