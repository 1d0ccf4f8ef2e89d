"""``airflow webhooks create``, ``rotate``, ``end-grace`` and ``presets``: senders and their secrets."""

from __future__ import annotations

import json
import shlex
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from inbound_webhooks.cli.console import (
    WRONG_CALL,
    actor,
    exit_with,
    handler,
    parse_json,
    parse_list,
    parse_mapping,
    print_data,
    print_hint,
    print_sections,
    print_text,
    read_secret,
    read_text,
    reads_standard_input,
    summary,
)

if TYPE_CHECKING:
    from argparse import Namespace

    from inbound_webhooks.presets import Preset
    from inbound_webhooks.records.webhook import Webhook
    from inbound_webhooks.records.webhook_fields import WebhookField
    from inbound_webhooks.webhooks.secrets import NewSecret

URL_PLACE, SECRET_PLACE = "<the webhook's URL>", "<the secret>"
GIVEN_SECRET = "<the secret from --secret>"  # noqa: S105 - a placeholder

EXPECTED_AT_CREATE = ("disabled", "outside-hours", "no-dispatcher")
"""Reasons without a warning: the call asks for them, or they disappear once the api-server runs."""


@handler
def create_command(args: Namespace) -> None:
    """Create a webhook; print the vendor's steps to standard error."""
    from inbound_webhooks.webhooks import readiness, service
    from inbound_webhooks.webhooks.secrets import find_preset

    secrets = _new_secrets(args.secret)
    fields = _given_fields(args)
    draft = service.drafted(
        preset=fields.pop("preset", None),
        purposes={secret.purpose for secret in secrets},
        refresh_keys=args.refresh_keys,
        events=args.event,
        **fields,
    )
    webhook = service.create(draft, secrets=secrets, actor=actor(), team=service.team_of(draft))
    url = service.url(webhook)
    print_data(summary(webhook) | {"url": url or None}, args.output)
    for reason in readiness.reasons_of(webhook):
        if reason.code not in EXPECTED_AT_CREATE:
            print_hint(reason.message)
    if args.preset is not None:
        _print_steps(find_preset(args.preset), url)
    _print_what_is_left(webhook, {secret.purpose for secret in secrets})


def _print_what_is_left(webhook: Webhook, given: Collection[str]) -> None:
    """The commands that a webhook needs before it accepts requests, if any."""
    from inbound_webhooks.webhooks.secrets import missing_secrets

    name = shlex.quote(webhook.name)
    if missing := missing_secrets(webhook, given):
        print_hint("The webhook waits for its secret. To enter it:")
        for problem in missing:
            print_hint(f"  airflow webhooks rotate {name} --secret {_secret_argument(problem.part)}")
    if not webhook.enabled:
        print_hint("The webhook is disabled. To enable it:")
        print_hint(f"  airflow webhooks enable {name}")


def _secret_argument(purpose: str) -> str:
    from inbound_webhooks.event.verification.scheme import DEFAULT_PURPOSE

    return "@FILE" if purpose == DEFAULT_PURPOSE else f"{purpose}=@FILE"


def _given_fields(args: Namespace) -> dict[str, Any]:
    """The fields that the call sets; the preset or the defaults fill the others."""
    from inbound_webhooks.records.webhook import FIELDS

    fields = {name: _read(field, getattr(args, name)) for name, field in FIELDS.items()}
    return {name: value for name, value in fields.items() if value is not None}


def _read(field: WebhookField, given: Any) -> Any:
    """The value that the call gives to a field, None if it gives none."""
    if given is None:
        return None
    if field.kind == "mapping":
        return parse_mapping(field, given)
    if field.kind == "objects":
        return [parse_json(field.flag, text) for text in given]
    if field.kind == "list":
        return [item for text in given for item in parse_list(text)]
    return read_text(given) if field.from_file else given


def _new_secrets(texts: list[str]) -> list[NewSecret]:
    if sum(reads_standard_input(text) for text in texts) > 1:
        exit_with(WRONG_CALL, "Only one --secret can come from standard input.")
    return [_new_secret(text) for text in texts]


def _new_secret(text: str) -> NewSecret:
    from inbound_webhooks.event.verification.scheme import DEFAULT_PURPOSE
    from inbound_webhooks.webhooks.secrets import NewSecret

    purpose, value = read_secret(text)
    return NewSecret(purpose or DEFAULT_PURPOSE, value)


def _print_steps(preset: Preset, url: str) -> None:
    from inbound_webhooks.presets.description import numbered

    print_hint(f"Steps at the sender, {preset.title} ({preset.documentation_url}):")
    for line in numbered(preset.filled_steps(url=url, secret=GIVEN_SECRET)):
        print_hint(f"  {line}")


@handler
def rotate_command(args: Namespace) -> None:
    """Generate a new URL and print it, or set a new secret."""
    from inbound_webhooks.webhooks import service

    until = f" The old one stays valid for {args.grace_hours:g} hours." if args.grace_hours else ""
    if args.secret is None:
        webhook = service.rotate(args.name, actor=actor(), grace_hours=args.grace_hours)
        print_text(service.url(webhook))
        print_hint(f"{webhook.name} has a new URL.{until}")
    else:
        secret = _new_secret(args.secret)
        webhook = service.rotate_secret(args.name, secret, actor=actor(), grace_hours=args.grace_hours)
        print_text(f"{webhook.name} has a new secret for {secret.purpose}.{until}")


@handler
def end_grace_command(args: Namespace) -> None:
    """End the grace period that a rotation gave to old URLs and secrets."""
    from inbound_webhooks.webhooks import service

    webhook = service.get(args.name)
    ended = service.end_grace(args.name, actor=actor())
    print_text(f"Old URLs and secrets of {webhook.name} that stopped working: {ended or 'none'}.")


@handler
def presets_command(args: Namespace) -> None:
    """List the presets, or show one in full."""
    from inbound_webhooks.presets import PRESETS
    from inbound_webhooks.presets.description import as_data
    from inbound_webhooks.webhooks.secrets import find_preset

    if args.name is None:
        rows = [
            {"name": preset.name, "sender": preset.title, "documentation": preset.documentation_url}
            for preset in PRESETS.values()
        ]
        print_data(rows, args.output)
        return
    preset = find_preset(args.name)
    if args.output in ("json", "yaml"):
        print_data(as_data(preset), args.output)
    else:
        print_sections(f"{preset.title} ({preset.name})\n{preset.documentation_url}", _sections(preset))


def _sections(preset: Preset) -> dict[str, list[str]]:
    """Heading -> lines; commands and options are quoted for a shell."""
    from inbound_webhooks.presets import description

    steps = preset.filled_steps(url=URL_PLACE, secret=SECRET_PLACE)
    return {
        "In Airflow": _create_calls(preset),
        "At the sender": description.numbered(steps),
        "Secrets": description.secret_lines(preset),
        "Verification, and the option to change it": [
            description.scheme_in_words(preset),
            *(_option("--verify", json.dumps(settings)) for settings in preset.verification),
        ],
        "Handshake": [description.handshake_in_words(preset)],
        "Deduplication": _dedup_lines(preset),
        "Event type, and the option to accept only some": [
            preset.event_type or description.NOTHING,
            *(_option("--event", event) for event in preset.events),
        ],
        "Example of a filter": [_option("--filter", preset.filter_example or "")],
        "Example of a mapping": [
            _option("--map", line) for line in description.mapping_of(preset.mapping_example)
        ],
        "Responses": description.response_lines(preset),
        "Notes": list(preset.notes),
    }


def _dedup_lines(preset: Preset) -> list[str]:
    from inbound_webhooks.presets.description import NOTHING

    lines = [preset.dedup or NOTHING]
    if preset.dedup_alternative is not None:
        lines += ["or, because the sender does not sign it:", _option("--dedup", preset.dedup_alternative)]
    return lines


def _create_calls(preset: Preset) -> list[str]:
    from inbound_webhooks.event.verification.public_keys import can_refresh_keys

    call = f"airflow webhooks create NAME --dag-id DAG --preset {preset.name}"
    options = ""
    for secret in preset.secrets:
        source = _secret_argument(secret.purpose)
        options += f" [--secret {source}]" if secret.optional else f" --secret {source}"
    if any(can_refresh_keys(scheme) for scheme in preset.verification):
        return [f"{call}{options}", f"{call} --refresh-keys"]
    return [f"{call}{options}"]


def _option(name: str, value: str) -> str:
    return f"{name} {shlex.quote(value)}"
