"""What a preset is: the settings that one kind of sender needs, as data that a person may change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Secret:
    """A secret that the user has to give (or gets from us), and where it stands at the sender's."""

    purpose: str
    label: str
    help: str
    optional: bool = False


@dataclass(frozen=True, kw_only=True)
class Preset:
    """Everything that one kind of sender needs.

    ``proofs`` are settings for :func:`inbound_webhooks.event.signature.required_proof`; ``handshake`` names an
    entry of :data:`inbound_webhooks.event.handshake.HANDSHAKES`. ``dedup``, ``event_type`` and ``filter_example``
    are expressions. ``dedup_alternative`` is for senders whose delivery id is not covered by their signature:
    the hash of the body. ``steps`` are what the user does at the sender's, ``{url}`` and ``{secret}`` filled in.
    ``notes`` are weaknesses that a user should know.
    """

    name: str
    title: str
    documentation_url: str
    steps: tuple[str, ...]
    proofs: tuple[Mapping[str, Any], ...] = ()
    secrets: tuple[Secret, ...] = ()
    handshake: str | None = None
    dedup: str | None = None
    dedup_alternative: str | None = None
    event_type: str | None = None
    filter_example: str | None = None
    mapping_example: Mapping[str, str] = field(default_factory=dict)
    response_status: int | None = None
    response_content_type: str = "application/json"
    response_template: str | None = None
    disabled_status: int = 403
    invalid_status: int = 422
    notes: tuple[str, ...] = ()
