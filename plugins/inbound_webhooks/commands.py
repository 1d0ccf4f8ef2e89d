"""What the commands of ``airflow webhooks`` do."""

from __future__ import annotations

import functools
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from inbound_webhooks.console import (
    FAILED,
    WRONG_CALL,
    actor,
    agrees,
    exit_with,
    parse_header,
    parse_json,
    parse_mapping,
    print_data,
    read_bytes,
    read_secret,
    read_text,
)
from inbound_webhooks.errors import ConfigurationError, DefinitionError, WebhookError

if TYPE_CHECKING:
    from argparse import Namespace

    from inbound_webhooks.sender_settings import NewSecret
    from inbound_webhooks.storage.queries import Credential, Webhook

MAX_GRACE_HOURS = 24 * 90

Handler = Callable[["Namespace"], None]


def _handler(function: Handler) -> Handler:
    """Keep Airflow's log lines out of the output, and turn our errors into one line and a status."""

    @functools.wraps(function)
    def handle(args: Namespace) -> None:
        from airflow.utils.cli import suppress_logs_and_warning
        from airflow.utils.providers_configuration_loader import providers_configuration_loaded

        try:
            suppress_logs_and_warning(providers_configuration_loaded(function))(args)
        except WebhookError as error:
            wrong = isinstance(error, (DefinitionError, ConfigurationError))
            exit_with(WRONG_CALL if wrong else FAILED, error.message)

    return handle


@_handler
def create_command(args: Namespace) -> None:
    """Create a webhook."""
    from inbound_webhooks import definitions, readiness

    secrets = [_new_secret(text) for text in args.secret]
    draft = definitions.drafted(
        preset=args.preset, purposes={secret.purpose for secret in secrets}, **_given_fields(args)
    )
    webhook = definitions.create(draft, secrets=secrets, actor=actor())
    for reason in readiness.reasons_of(webhook):
        print(reason.sentence, file=sys.stderr)
    print_data(_summary(webhook) | {"url": definitions.url(webhook)}, args.output)


def _given_fields(args: Namespace) -> dict[str, Any]:
    """The fields of a webhook that the call names; a preset or the defaults fill the others."""
    fields = {
        "name": args.name,
        "dag_id": args.dag_id,
        "mapping": parse_mapping(args.map),
        "enabled": not args.disabled,
        "proofs": None if args.proof is None else [parse_json("--proof", text) for text in args.proof],
        "filter": args.filter,
        "dedup": args.dedup,
        "allowed_addresses": args.allow,
        "max_per_second": args.max_per_second,
        "response_content_type": args.response_content_type,
        "response_template": read_text(args.response_template),
        "response_status": args.response_status,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _new_secret(text: str) -> NewSecret:
    from inbound_webhooks.event.signature import DEFAULT_PURPOSE
    from inbound_webhooks.sender_settings import NewSecret

    purpose, value = read_secret(text)
    return NewSecret(purpose or DEFAULT_PURPOSE, value)


@_handler
def list_command(args: Namespace) -> None:
    """List all webhooks."""
    from inbound_webhooks.storage import queries
    from inbound_webhooks.storage.database import transaction

    with transaction() as connection:
        webhooks = queries.list_webhooks(connection)
    print_data([_summary(webhook) for webhook in webhooks], args.output)


@_handler
def show_command(args: Namespace) -> None:
    """Show one webhook."""
    from inbound_webhooks import definitions, readiness
    from inbound_webhooks.storage import queries
    from inbound_webhooks.storage.database import transaction

    webhook = definitions.get(args.name)
    with transaction() as connection:
        deliveries = queries.count_deliveries(connection, webhook.id)
        credentials = queries.list_credentials(connection, webhook.id)
        rejections = queries.list_rejections(connection, webhook.id, queries.KEPT_REJECTIONS)
    shown = _summary(webhook) | {
        "url": definitions.url(webhook),
        "mapping": dict(webhook.mapping),
        "preset": webhook.preset,
        "proofs": [dict(proof) for proof in webhook.proofs],
        "credentials": [_credential(held) for held in credentials],
        "handshake": webhook.handshake,
        "confirm_url": webhook.confirm_url,
        "allowed_addresses": list(webhook.allowed_addresses),
        "filter": webhook.filter,
        "dedup": webhook.dedup,
        "max_per_second": webhook.max_per_second,
        "response_content_type": webhook.response_content_type,
        "response_template": webhook.response_template,
        "response_status": webhook.response_status,
        "created_at": webhook.created_at.isoformat(),
        "updated_at": webhook.updated_at.isoformat(),
        "deliveries": deliveries,
        "warnings": [reason.sentence for reason in readiness.reasons_of(webhook)],
        "rejections": [
            {
                "rejected_at": rejection.rejected_at.isoformat(),
                "method": rejection.method,
                "status": rejection.status,
                "source_ip": rejection.source_ip,
                "reason": rejection.reason,
            }
            for rejection in rejections
        ],
    }
    print_data(shown, args.output)


@_handler
def url_command(args: Namespace) -> None:
    """Print the URL alone."""
    from inbound_webhooks import definitions

    print(definitions.url(definitions.get(args.name)))


@_handler
def enable_command(args: Namespace) -> None:
    """Enable a webhook."""
    _set_enabled(args.name, True)


@_handler
def disable_command(args: Namespace) -> None:
    """Disable a webhook."""
    _set_enabled(args.name, False)


@_handler
def delete_command(args: Namespace) -> None:
    """Delete a webhook, after a question."""
    from inbound_webhooks import definitions

    webhook = definitions.get(args.name)
    if not args.yes and not agrees(f"Delete the webhook {webhook.name!r}, its URL and its tokens?"):
        exit_with(FAILED, "Nothing was deleted.")
    cancelled = definitions.delete(args.name, actor=actor())
    held = f" {cancelled} deliveries that had not started were cancelled." if cancelled else ""
    print(f"Deleted {webhook.name}.{held}")


@_handler
def rotate_command(args: Namespace) -> None:
    """Give a webhook a new URL and print it, or a new secret."""
    from inbound_webhooks import definitions

    if not 0 <= args.grace_hours <= MAX_GRACE_HOURS:
        exit_with(WRONG_CALL, f"--grace-hours is between 0 and {MAX_GRACE_HOURS}.")
    if args.secret is None:
        webhook = definitions.rotate(args.name, actor=actor(), grace_hours=args.grace_hours)
        print(definitions.url(webhook))
    else:
        secret = _new_secret(args.secret)
        webhook = definitions.rotate_secret(args.name, secret, actor=actor(), grace_hours=args.grace_hours)
        print(f"{webhook.name} has a new secret for {secret.purpose}.")


@_handler
def presets_command(args: Namespace) -> None:
    """List the presets."""
    from inbound_webhooks.presets import PRESETS

    rows = [
        {"name": preset.name, "sender": preset.title, "documentation": preset.documentation_url}
        for preset in PRESETS.values()
    ]
    print_data(rows, args.output)


@_handler
def deliveries_command(args: Namespace) -> None:
    """List deliveries, newest first."""
    from inbound_webhooks import definitions
    from inbound_webhooks.storage import queries
    from inbound_webhooks.storage.database import transaction

    if args.state is not None and args.state not in queries.State.ALL:
        exit_with(WRONG_CALL, f"--state is one of {', '.join(queries.State.ALL)}.")
    if args.limit < 1:
        exit_with(WRONG_CALL, "--limit is at least 1.")
    webhook_id = definitions.get(args.name).id if args.name else None
    with transaction() as connection:
        rows = queries.list_deliveries(connection, webhook_id=webhook_id, state=args.state, limit=args.limit)
    print_data([_delivery(row) for row in rows], args.output)


@_handler
def replay_command(args: Namespace) -> None:
    """Accept a stored delivery once more."""
    from inbound_webhooks.receiver.door import door
    from inbound_webhooks.receiver.replay import replay

    delivery = replay(door(), args.delivery_id, actor=actor(), remap=args.remap)
    print_data(_delivery(delivery), args.output)


@_handler
def try_command(args: Namespace) -> None:
    """Show what a request would become."""
    from inbound_webhooks import definitions
    from inbound_webhooks.receiver.door import door
    from inbound_webhooks.receiver.tryout import try_out

    webhook = definitions.get(args.name)
    body = read_bytes(args.data)
    headers = [parse_header(text) for text in args.header]
    tried = try_out(door(), webhook, method=args.method, query_string=args.query, headers=headers, body=body)
    print_data(tried, args.output)


@_handler
def rotate_fernet_key_command(args: Namespace) -> None:
    """Encrypt everything again."""
    from inbound_webhooks import definitions

    counts = definitions.reencrypt_all(actor=actor())
    print("Encrypted again: " + ", ".join(f"{number} {name}" for name, number in counts.items()) + ".")


def dispatcher_command(args: Namespace) -> None:
    """Dispatch until SIGINT or SIGTERM, and finish the batch at hand."""
    from airflow.providers_manager import ProvidersManager

    from inbound_webhooks.dispatch.dispatcher import Dispatcher
    from inbound_webhooks.settings import Settings

    ProvidersManager().initialize_providers_configuration()
    try:
        dispatcher = Dispatcher(Settings.load())
    except ConfigurationError as error:
        exit_with(WRONG_CALL, error.message)
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signal_number, lambda *_: dispatcher.stop())
    dispatcher.run()


def _set_enabled(name: str, enabled: bool) -> None:
    from inbound_webhooks import definitions

    webhook = definitions.set_enabled(name, enabled, actor=actor())
    print(f"{'Enabled' if enabled else 'Disabled'} {webhook.name}.")


def _summary(webhook: Webhook) -> dict[str, Any]:
    return {"id": webhook.id, "name": webhook.name, "dag_id": webhook.dag_id, "enabled": webhook.enabled}


def _credential(held: Credential) -> dict[str, Any]:
    return {
        "purpose": held.purpose or "url",
        "created_at": held.created_at.isoformat(),
        "expires_at": held.expires_at.isoformat() if held.expires_at else None,
        "last_used_at": held.last_used_at.isoformat() if held.last_used_at else None,
    }


def _delivery(row: Any) -> dict[str, Any]:
    return {
        "id": row.id,
        "webhook": row.webhook_name,
        "dag_id": row.dag_id,
        "state": row.state,
        "received_at": row.received_at.isoformat(),
        "run_id": row.run_id,
        "attempts": row.attempts,
        "replay_of": row.replay_of,
        "error": row.error,
    }
