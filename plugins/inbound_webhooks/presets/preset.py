"""What a preset is: the settings that one kind of sender needs, as data that a person may change."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from inbound_webhooks.event.verification.scheme import DEFAULT_PURPOSE

BODY_HASH = "{{ body | sha256 }}"
"""A deduplication key for senders whose signature covers no delivery id: the same body counts once."""


@dataclass(frozen=True, kw_only=True)
class Secret:
    """A secret that a webhook needs, and where it stands at the sender's.

    ``chosen_here``: the user makes it up (or we do) and enters it at the sender's; else the sender shows it.
    ``optional``: without it the proofs of its purpose are left out, and the token in the URL is the only one.
    """

    purpose: str
    label: str
    help: str
    chosen_here: bool = False
    optional: bool = False


@dataclass(frozen=True, kw_only=True)
class Preset:
    """Everything that one kind of sender needs.

    ``proofs`` are settings for :func:`inbound_webhooks.event.verification.registry.read_scheme`;
    ``handshake`` names an entry of :data:`inbound_webhooks.event.handshakes.registry.HANDSHAKES`.
    ``dedup``, ``event_type``, ``mapping_example`` and ``filter_example`` are expressions; ``events`` are
    frequent values of ``event_type``. ``dedup_alternative`` is for senders whose delivery id is not
    covered by their signature. ``signs_body`` is false where a changed body would go unnoticed. ``steps``
    are what the user does at the sender's, see :meth:`filled_steps`. ``notes`` are weaknesses that a user
    should know. ``disabled_status`` and ``invalid_status`` are what keeps this sender from switching
    itself off, or from repeating what was kept anyway.
    """

    name: str
    title: str
    documentation_url: str
    steps: tuple[str, ...]
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
        """The proofs to ask for when secrets of these purposes are given: optional ones may be missing."""
        left_out = {secret.purpose for secret in self.secrets if secret.optional} - set(purposes)
        return tuple(
            scheme for scheme in self.verification if scheme.get("purpose", DEFAULT_PURPOSE) not in left_out
        )

    def filled_steps(self, *, url: str, secret: str) -> list[str]:
        """The steps with the webhook's URL and the secret that was chosen for it."""
        return [step.replace("{url}", url).replace("{secret}", secret) for step in self.steps]
