"""Presets: the settings that one kind of sender needs, as data that users can change."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from inbound_webhooks.event.sampling.events import SampleEvent
from inbound_webhooks.event.verification.scheme import DEFAULT_PURPOSE

BODY_HASH = "{{ body | sha256 }}"
"""Deduplication key for senders whose signature does not cover the delivery id: equal bodies count once."""


@dataclass(frozen=True, kw_only=True)
class Secret:
    """A secret that a webhook needs, and where the sender has it.

    ``chosen_here``: the user chooses it (or has it generated) and enters it at the sender's; otherwise the
    sender shows it. ``optional``: without it, the schemes of its purpose are omitted, and only the token in
    the URL protects the webhook.
    """

    purpose: str
    label: str
    help: str
    chosen_here: bool = False
    optional: bool = False


@dataclass(frozen=True, kw_only=True)
class Preset:
    """All settings of one kind of sender.

    ``verification`` are settings for :func:`inbound_webhooks.event.verification.registry.read_scheme`;
    ``handshake`` names an entry of :data:`inbound_webhooks.event.handshakes.registry.HANDSHAKES`.
    ``dedup``, ``event_type``, ``mapping_example`` and ``filter_example`` are expressions; ``events`` are
    frequent values of ``event_type``. ``dedup_alternative`` is for senders that do not sign their delivery
    id. ``signs_body`` is False if a changed body would go unnoticed. ``steps`` are the user's actions at the
    sender's, see :meth:`filled_steps`. ``notes`` are limitations that a user should know.
    ``sample`` is a typical event with the vendor's headers, without the signature.
    ``disabled_status`` and ``invalid_status`` are chosen so that the sender neither switches itself off nor
    retries what is kept anyway.
    """

    name: str
    title: str
    documentation_url: str
    steps: tuple[str, ...]
    sample: SampleEvent
    verification: tuple[Mapping[str, Any], ...] = ()
    secrets: tuple[Secret, ...] = ()
    signs_body: bool = True
    handshake: str | None = None
    dedup: str | None = None
    dedup_alternative: str | None = None
    event_type: str | None = None
    events: tuple[str, ...] = ()
    filter_example: str | None = None
    mapping_example: Mapping[str, str] = field(default_factory=dict)
    response_status: int | None = None
    response_content_type: str = "application/json"
    response_template: str | None = None
    disabled_status: int = 403
    invalid_status: int = 422
    notes: tuple[str, ...] = ()

    def verification_with(self, purposes: Collection[str]) -> tuple[Mapping[str, Any], ...]:
        """The schemes to require if secrets of these purposes are given; optional ones may be missing."""
        omitted = {secret.purpose for secret in self.secrets if secret.optional} - set(purposes)
        return tuple(
            scheme for scheme in self.verification if scheme.get("purpose", DEFAULT_PURPOSE) not in omitted
        )

    def filled_steps(self, *, url: str, secret: str) -> list[str]:
        """The steps with the webhook's URL and the secret chosen for it."""
        return [step.replace("{url}", url).replace("{secret}", secret) for step in self.steps]
