"""A webhook's compiled definition: expressions, verification, handshake, response; no id, no database."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

from inbound_webhooks.errors import InvalidDefinition, TemplateRefused
from inbound_webhooks.event.cached_attribute import cached_attribute
from inbound_webhooks.event.conf.mapping import ConfMapping, compile_mapping
from inbound_webhooks.event.data_sources import DataSources
from inbound_webhooks.event.expressions.budget import Budget, CompileBudget, ExpressionLimits
from inbound_webhooks.event.expressions.engine import (
    Condition,
    Expression,
    compile_bare,
    compile_condition,
    compile_expression,
)
from inbound_webhooks.event.expressions.syntax import ALL_SOURCES, ITEM_SOURCES, SOURCES
from inbound_webhooks.event.grouping import Grouping, GroupingDefinition, compile_grouping
from inbound_webhooks.event.handshakes.exchange import Handshake
from inbound_webhooks.event.handshakes.registry import HANDSHAKES
from inbound_webhooks.event.ip_allow_list import IpAllowList
from inbound_webhooks.event.request import InboundRequest
from inbound_webhooks.event.response import ResponseTemplate, compile_response
from inbound_webhooks.event.response_headers import HeaderTemplate, compile_headers
from inbound_webhooks.event.schedule import ScheduleDefinition, ScheduleRules, compile_schedule
from inbound_webhooks.event.verification.api_keys import BodyKey
from inbound_webhooks.event.verification.challenges import challenges
from inbound_webhooks.event.verification.registry import (
    RequiredScheme,
    credential_names,
    read_scheme,
    redact_keys,
)
from inbound_webhooks.event.verification.scheme import DEFAULT_PURPOSE
from inbound_webhooks.event.waiting import Wait, WaitDefinition, waits

Compiled = TypeVar("Compiled")

DEFAULT_LIMITS = ExpressionLimits()

MAX_INLINE_BODY_BYTES = 32 * 1024
MAX_INLINE_COPIED_BYTES = 512 * 1024
"""Bytes that the lines of a mapping may copy on the event loop: some milliseconds."""

MAX_INLINE_LINES = 100


class Definition(WaitDefinition, ScheduleDefinition, GroupingDefinition, Protocol):
    """The fields of a webhook that rules are compiled from; documented in :mod:`records.webhook`."""

    @property
    def name(self) -> str: ...
    @property
    def mapping(self) -> Mapping[str, str]: ...
    @property
    def response_content_type(self) -> str: ...
    @property
    def response_template(self) -> str | None: ...
    @property
    def response_status(self) -> int | None: ...
    @property
    def response_headers(self) -> Mapping[str, str]: ...
    @property
    def result_status(self) -> str | None: ...
    @property
    def invalid_status(self) -> int: ...
    @property
    def verification(self) -> Sequence[Mapping[str, Any]]: ...
    @property
    def handshake(self) -> str | None: ...
    @property
    def allowed_addresses(self) -> Sequence[str]: ...
    @property
    def event_type(self) -> str | None: ...
    @property
    def filter(self) -> str | None: ...
    @property
    def dedup(self) -> str | None: ...
    @property
    def partition_key(self) -> str | None: ...
    @property
    def each(self) -> str | None: ...


@dataclass(frozen=True)
class Rules:
    """What a request is judged by; None or empty where the definition has no rule.

    ``credential_names`` are the headers and query fields that hold credentials, in lower case; ``body_keys``
    says whether the body holds keys too. ``challenges`` are the values of WWW-Authenticate for a 401.
    """

    webhook_name: str
    mapping: ConfMapping
    response: ResponseTemplate | None
    response_status: int | None
    response_headers: tuple[HeaderTemplate, ...]
    wait: Wait | None
    invalid_status: int
    verification: tuple[RequiredScheme, ...]
    handshake: Handshake | None
    ip_allow_list: IpAllowList | None
    event_type: Expression | None
    filter: Condition | None
    deduplication_key: Expression | None
    partition_key: Expression | None
    schedule: ScheduleRules | None
    each: Expression | None
    grouping: Grouping | None
    credential_names: frozenset[str]
    body_keys: bool
    challenges: tuple[str, ...]
    max_work: int

    @cached_attribute
    def inline_bytes(self) -> int:
        """The longest body that is judged on the event loop, where all requests wait meanwhile; -1 for none.

        Paths and constants only copy the data, so they cost as much as the copies are long. Everything else
        runs in a thread, whatever its size, and so does what is decided about each item of a list.
        """
        keys = (self.event_type, self.deduplication_key, self.partition_key)
        computed = (*keys, self.filter, self.response, self.schedule, self.grouping)
        lines = self.mapping.lines.values()
        is_plain = all(part is None or part.is_plain for part in (*computed, *self.response_headers, *lines))
        if self.each is not None or len(lines) > MAX_INLINE_LINES or not is_plain:
            return -1
        return min(MAX_INLINE_BODY_BYTES, MAX_INLINE_COPIED_BYTES // max(len(lines), 1))

    def sources(self, request: InboundRequest, content: bytes, delivery_id: str) -> DataSources:
        """The data that expressions read; ``content`` is the body after decompression."""
        return DataSources(
            request,
            content,
            delivery_id=delivery_id,
            webhook=self.webhook_name,
            credential_names=self.credential_names,
            budget=Budget(self.max_work),
        )

    def redacted(self, body: bytes) -> bytes:
        """The body with its API keys redacted."""
        return redact_keys(self.verification, body)


def compile_rules(definition: Definition, limits: ExpressionLimits = DEFAULT_LIMITS) -> Rules:
    """Compile a definition.

    :raises DefinitionError: an expression, setting or name is invalid; names the field
    """
    verification = tuple(read_scheme(settings) for settings in definition.verification)
    addresses = tuple(definition.allowed_addresses)
    budget = CompileBudget(limits.parts)
    of_event = SOURCES if definition.each is None else SOURCES | ITEM_SOURCES
    compile_source = partial(compile_expression, budget=budget, sources=of_event)
    compile_list = partial(compile_bare, budget=budget, what="a list of events")
    sources = ALL_SOURCES if waits(definition) else SOURCES
    return Rules(
        webhook_name=definition.name,
        mapping=compile_mapping(definition.mapping, budget, sources=of_event),
        response=_compiled(
            "response_template",
            partial(compile_response, definition.response_content_type, budget=budget, sources=sources),
            definition.response_template,
        ),
        response_status=definition.response_status,
        response_headers=compile_headers(definition.response_headers, budget, sources),
        wait=_wait(definition, budget),
        invalid_status=definition.invalid_status,
        verification=verification,
        handshake=_handshake(definition.handshake, verification),
        ip_allow_list=IpAllowList(allowed=addresses) if addresses else None,
        event_type=_compiled("event_type", compile_source, definition.event_type),
        filter=_compiled(
            "filter", partial(compile_condition, budget=budget, sources=of_event), definition.filter
        ),
        deduplication_key=_compiled("dedup", compile_source, definition.dedup),
        partition_key=_compiled("partition_key", compile_source, definition.partition_key),
        schedule=compile_schedule(definition, budget, of_event),
        each=_compiled("each", compile_list, definition.each),
        grouping=compile_grouping(definition, budget, of_event),
        credential_names=credential_names(verification),
        body_keys=any(isinstance(required.scheme, BodyKey) for required in verification),
        challenges=challenges(verification),
        max_work=limits.work,
    )


def _wait(definition: Definition, budget: CompileBudget) -> Wait | None:
    # Compiled for any webhook: a status that does not compile is refused whether it is used or not.
    compile_source = partial(compile_expression, budget=budget, sources=ALL_SOURCES)
    status = _compiled("result_status", compile_source, definition.result_status)
    if not waits(definition):
        return None
    return Wait(definition.wait_seconds or 0, definition.prefer_wait, definition.result_task, status)


def _handshake(name: str | None, verification: Sequence[RequiredScheme]) -> Handshake | None:
    if name is None:
        return None
    if name not in HANDSHAKES:
        raise InvalidDefinition("handshake", f"{name!r} is not one of {', '.join(HANDSHAKES)}")
    if HANDSHAKES[name].needs_verification and not verification:
        raise InvalidDefinition("handshake", f"{name} requires verification of the sender")
    handshake = HANDSHAKES[name]
    if handshake.signs_for is not None:
        # Its responses must not be signed with the secret of another sender.
        users = [required.scheme for required in verification if required.purpose == DEFAULT_PURPOSE]
        if not users or not all(map(handshake.signs_for, users)):
            raise InvalidDefinition(
                "handshake",
                f"{name} signs its responses with the {DEFAULT_PURPOSE} secret, so that secret may only "
                f"belong to the verification of the preset {name}",
            )
    return handshake


def _compiled(field: str, compile_source: Callable[[str], Compiled], source: str | None) -> Compiled | None:
    if source is None:
        return None
    try:
        return compile_source(source)
    except TemplateRefused as error:
        raise InvalidDefinition(field, error.message) from None
