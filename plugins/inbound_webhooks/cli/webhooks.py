"""The commands for stored webhooks and deliveries, and those that run until stopped."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

from inbound_webhooks.cli.console import (
    FAILED,
    WRONG_CALL,
    actor,
    confirm,
    exit_status,
    exit_with,
    handler,
    parse_header,
    print_data,
    print_hint,
    print_text,
    read_bytes,
    summary,
)
from inbound_webhooks.cli.standard_output import STANDARD_OUTPUT
from inbound_webhooks.errors import ConfigurationError
from inbound_webhooks.monitoring.clock import utc_now

if TYPE_CHECKING:
    from argparse import Namespace

    from inbound_webhooks.records.credential import Credential


@handler
def list_command(args: Namespace) -> None:
    """List all webhooks."""
    from inbound_webhooks.storage.database import transaction
    from inbound_webhooks.storage.webhooks import list_webhooks

    with transaction() as connection:
        webhooks = list_webhooks(connection)
    print_data([summary(webhook) for webhook in webhooks], args.output)


@handler
def show_command(args: Namespace) -> None:
    """Show one webhook."""
    from inbound_webhooks.records.webhook import json_fields
    from inbound_webhooks.storage.credentials import list_credentials
    from inbound_webhooks.storage.database import transaction
    from inbound_webhooks.storage.deliveries import count_deliveries
    from inbound_webhooks.storage.rejections import KEPT_REJECTIONS, list_rejections
    from inbound_webhooks.webhooks import readiness, service

    webhook = service.get(args.name)
    with transaction() as connection:
        deliveries = count_deliveries(connection, webhook.id)
        credentials = list_credentials(connection, webhook.id)
        rejections = list_rejections(connection, webhook.id, KEPT_REJECTIONS)
    shown = summary(webhook) | {
        "url": service.url(webhook) or None,
        **json_fields(webhook),
        "credentials": [_credential(credential) for credential in credentials],
        "confirm_url": webhook.confirm_url,
        "team": webhook.team,
        "hold": webhook.hold,
        "held_by_all": webhook.held_by_all,
        "created_at": webhook.created_at.isoformat(),
        "updated_at": webhook.updated_at.isoformat(),
        "deliveries": deliveries,
        "warnings": [reason.message for reason in readiness.reasons_of(webhook)],
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


@handler
def url_command(args: Namespace) -> None:
    """Print only the URL."""
    from inbound_webhooks.webhooks import service

    webhook = service.get(args.name)
    url = service.url(webhook)
    if not url:
        exit_with(FAILED, f"{webhook.name} has no URL: it gets the events of another webhook.")
    print_text(url)


@handler
def enable_command(args: Namespace) -> None:
    """Enable a webhook."""
    _set_enabled(args.name, True)


@handler
def disable_command(args: Namespace) -> None:
    """Disable a webhook."""
    _set_enabled(args.name, False)


@handler
def delete_command(args: Namespace) -> None:
    """Delete a webhook after a confirmation."""
    from inbound_webhooks.storage.webhooks import ById
    from inbound_webhooks.webhooks import service

    webhook = service.get(args.name)
    if not args.yes and not confirm(f"Delete the webhook {webhook.name!r}, its URL and its secrets?"):
        exit_with(FAILED, "Nothing was deleted.")
    cancelled = service.delete(ById(webhook.id), actor=actor())
    waiting = f" Deliveries cancelled before they started: {cancelled}." if cancelled else ""
    print_text(f"Deleted {webhook.name}.{waiting}")


@handler
def delivery_command(args: Namespace) -> None:
    """Show one delivery."""
    from inbound_webhooks.deliveries.details import delivery_details

    print_data(delivery_details(args.delivery_id), args.output)


@handler
def try_command(args: Namespace) -> None:
    """Preview a request, or back-test a changed definition."""
    from inbound_webhooks.cli.backtest import try_against_last
    from inbound_webhooks.deliveries.preview import preview_request
    from inbound_webhooks.receiver.instance import get_receiver
    from inbound_webhooks.webhooks import service

    if args.against_last is not None:
        try_against_last(args)
        return
    if args.file is not None:
        exit_with(WRONG_CALL, "--file needs --against-last: a preview uses the stored webhook.")
    webhook = service.get(args.name)
    body = read_bytes(args.data)
    headers = [parse_header(text) for text in args.header]
    preview = preview_request(
        get_receiver(), webhook, method=args.method, query_string=args.query, headers=headers, body=body
    )
    print_data(preview, args.output)
    if body and not any(name.lower() == "content-type" for name, _ in headers):
        print_hint(
            "The request has no Content-Type, so its body is not parsed. "
            "For JSON add --header 'Content-Type: application/json'."
        )


@handler
def rotate_fernet_key_command(args: Namespace) -> None:
    """Re-encrypt everything with the first Fernet key."""
    from inbound_webhooks.webhooks.reencryption import reencrypt_all

    counts = reencrypt_all(actor=actor())
    print_text("Re-encrypted: " + ", ".join(f"{number} {name}" for name, number in counts.items()) + ".")


def dispatcher_command(args: Namespace) -> None:
    """Run a dispatcher, or check that one is running on this host."""
    if args.check:
        _check_dispatcher(args)
    else:
        _run_dispatcher()


@handler
def _check_dispatcher(args: Namespace) -> None:
    from datetime import timedelta

    from inbound_webhooks.dispatch.heartbeat import host
    from inbound_webhooks.monitoring.health import HEARTBEAT_TIMEOUT_SECONDS
    from inbound_webhooks.storage.database import transaction
    from inbound_webhooks.storage.dispatchers import dispatchers_seen

    with transaction() as connection:
        seen_at = dispatchers_seen(connection, host=host())
    since = utc_now() - timedelta(seconds=HEARTBEAT_TIMEOUT_SECONDS)
    if seen_at is None or seen_at < since:
        exit_with(
            FAILED,
            f"No dispatcher on {host()} was active in the last {HEARTBEAT_TIMEOUT_SECONDS} seconds.",
        )
    print_text(f"A dispatcher on {host()} was active at {seen_at.isoformat()}.")


def _run_dispatcher() -> None:
    """Run the dispatcher until SIGINT or SIGTERM, then finish the current batch."""
    from inbound_webhooks.airflow_bridge.providers import load_provider_configuration
    from inbound_webhooks.dispatch.service import DispatchService
    from inbound_webhooks.monitoring import metrics
    from inbound_webhooks.settings import Settings
    from inbound_webhooks.storage.encryption import check_key

    STANDARD_OUTPUT.release()  # its log belongs there
    # Airflow lets only its servers read connections from the database, where the mail server's may be.
    os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "server"
    load_provider_configuration()
    try:
        check_key()
        service = DispatchService(Settings.load())
    except ConfigurationError as error:
        exit_with(exit_status(error), error.message)
    metrics.start(in_api_server=False)
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signal_number, lambda *_: service.stop())
    service.run()


def gateway_command(args: Namespace) -> None:
    """Serve only the endpoint until SIGINT or SIGTERM."""
    from inbound_webhooks.airflow_bridge.providers import load_provider_configuration
    from inbound_webhooks.deliveries.store.factory import open_store
    from inbound_webhooks.receiver.gateway.server import serve
    from inbound_webhooks.receiver.pipeline import Receiver
    from inbound_webhooks.settings import Settings
    from inbound_webhooks.storage.encryption import check_key

    STANDARD_OUTPUT.release()  # its log belongs there
    load_provider_configuration()
    metrics = (args.metrics_host, args.metrics_port) if args.metrics_port else None
    try:
        check_key()
        settings = Settings.load()
        # Each worker makes one; what is wrong with a setting or the database is said once, here.
        Receiver(settings, open_store(settings))
        serve(settings, host=args.host, port=args.port, workers=args.workers, metrics=metrics)
    except ConfigurationError as error:
        exit_with(exit_status(error), error.message)


def _set_enabled(name: str, enabled: bool) -> None:
    from inbound_webhooks.storage.webhooks import ById
    from inbound_webhooks.webhooks import service

    webhook = service.get(name)
    service.set_enabled(ById(webhook.id), enabled, actor=actor(), team=service.team_of(webhook))
    print_text(f"{'Enabled' if enabled else 'Disabled'} {webhook.name}.")


def _credential(credential: Credential) -> dict[str, Any]:
    last_used_at = credential.last_used_at
    return {
        "purpose": credential.purpose or "url",
        "created_at": credential.created_at.isoformat(),
        "expires_at": credential.expires_at.isoformat() if credential.expires_at else None,
        "last_used_at": last_used_at.isoformat() if last_used_at else None,
    }
