"""``airflow webhooks …``: the commands on top, what they do below."""

from __future__ import annotations

import functools
import getpass
import json
import os
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.cli.cli_config import (
    ARG_OUTPUT,
    ARG_VERBOSE,
    ActionCommand,
    Arg,
    GroupCommand,
    lazy_load_command,
)

from inbound_webhooks.errors import ConfigurationError, DefinitionError, WebhookError

if TYPE_CHECKING:
    from argparse import Namespace

    from inbound_webhooks.storage.queries import Credential, Webhook

WRONG_CALL, FAILED = 2, 1
MAX_GRACE_HOURS = 24 * 90

ARG_NAME = Arg(("name",), metavar="NAME", help="Name or id of the webhook")
ARG_NEW_NAME = Arg(("name",), metavar="NAME", help="Name of the new webhook")
ARG_OPTIONAL_NAME = Arg(("name",), metavar="NAME", nargs="?", help="Name or id of a webhook; all without it")
ARG_DAG_ID = Arg(("--dag-id",), metavar="DAG", required=True, help="The DAG that it runs")
ARG_MAP = Arg(
    ("--map",),
    metavar="PARAMETER=EXPRESSION",
    action="append",
    default=[],
    help="One line of the mapping, such as 'order=${Webhook::Body.order.id}'; without any, conf is the event",
)
ARG_CONTENT_TYPE = Arg(
    ("--response-content-type",),
    metavar="TYPE",
    help="Type of the response template",
)
ARG_TEMPLATE = Arg(
    ("--response-template",),
    metavar="TEXT|@FILE",
    help="What is answered, with expressions like the mapping's",
)
ARG_STATUS = Arg(
    ("--response-status",), metavar="N", type=int, help="Status of an accepted request, 200 to 299"
)
ARG_PRESET = Arg(("--preset",), metavar="P", help="The kind of sender; `airflow webhooks presets` lists them")
ARG_SECRET = Arg(
    ("--secret",),
    metavar="[PURPOSE=]@FILE|-|env:NAME",
    action="append",
    default=[],
    help="A secret that the sender signs with, from a file, standard input or an environment variable",
)
ARG_PROOF = Arg(
    ("--proof",),
    metavar="JSON",
    action="append",
    help='A proof, such as {"kind": "hmac", "header": "X-Signature"}; instead of those of the preset',
)
ARG_FILTER = Arg(("--filter",), metavar="EXPRESSION", help="Which events count; others are answered, not run")
ARG_DEDUP = Arg(("--dedup",), metavar="EXPRESSION", help="What names an event, so that a repetition is seen")
ARG_ALLOW = Arg(("--allow",), metavar="CIDR", action="append", help="Addresses that may call; repeatable")
ARG_MAX_PER_SECOND = Arg(("--max-per-second",), metavar="N", type=int, help="Requests a second; 429 above")
ARG_GRACE = Arg(
    ("--grace-hours",), metavar="N", type=float, default=0.0, help="How long the old one still counts"
)
ARG_ONE_SECRET = Arg(
    ("--secret",), metavar="[PURPOSE=]@FILE|-|env:NAME", help="Rotate this secret instead of the URL"
)
ARG_DISABLED = Arg(("--disabled",), action="store_true", help="Create it disabled")
ARG_YES = Arg(("--yes",), action="store_true", help="Do not ask")
ARG_STATE = Arg(("--state",), metavar="STATE", help="Only deliveries in this state")
ARG_LIMIT = Arg(("--limit",), metavar="N", type=int, default=25, help="How many, newest first (default: 25)")
ARG_DELIVERY_ID = Arg(("delivery_id",), metavar="DELIVERY_ID", help="Id of the delivery")
ARG_REMAP = Arg(("--remap",), action="store_true", help="With the mapping of today, not the conf of then")
ARG_DATA = Arg(("--data",), metavar="TEXT|@FILE", default="", help="The body")
ARG_HEADER = Arg(
    ("--header",), metavar="'K: V'", action="append", default=[], help="A header; may be repeated"
)
ARG_QUERY = Arg(("--query",), metavar="Q", default="", help="The query string, such as 'user=john&code=7'")
ARG_METHOD = Arg(
    ("--method",), metavar="M", default="POST", choices=("POST", "GET", "HEAD"), help="The method"
)


def _action(name: str, help: str, *args: Arg) -> ActionCommand:
    func = lazy_load_command(f"inbound_webhooks.cli.{name.replace('-', '_')}_command")
    return ActionCommand(name=name, help=help, func=func, args=(*args, ARG_VERBOSE))


COMMANDS = (
    _action(
        "create",
        "Create a webhook for a DAG",
        ARG_NEW_NAME, ARG_DAG_ID, ARG_MAP,
        ARG_PRESET, ARG_SECRET, ARG_PROOF, ARG_FILTER, ARG_DEDUP, ARG_ALLOW, ARG_MAX_PER_SECOND,
        ARG_CONTENT_TYPE, ARG_TEMPLATE, ARG_STATUS, ARG_DISABLED, ARG_OUTPUT,
    ),
    _action("list", "List all webhooks", ARG_OUTPUT),
    _action("show", "Show one webhook, its URL and its last rejections", ARG_NAME, ARG_OUTPUT),
    _action("url", "Print the URL for the sender", ARG_NAME),
    _action("enable", "Let a webhook accept requests, and start what it held", ARG_NAME),
    _action("disable", "Let a webhook accept and start nothing", ARG_NAME),
    _action("delete", "Delete a webhook", ARG_NAME, ARG_YES),
    _action("rotate", "Give a webhook a new URL, or a new secret", ARG_NAME, ARG_GRACE, ARG_ONE_SECRET),
    _action("presets", "List the kinds of senders that need no settings of yours", ARG_OUTPUT),
    _action("deliveries", "List deliveries", ARG_OPTIONAL_NAME, ARG_STATE, ARG_LIMIT, ARG_OUTPUT),
    _action("replay", "Accept a stored delivery once more", ARG_DELIVERY_ID, ARG_REMAP, ARG_OUTPUT),
    _action(
        "try",
        "Show the conf and the answer of a request; runs nothing",
        ARG_NAME, ARG_DATA, ARG_HEADER, ARG_QUERY, ARG_METHOD, ARG_OUTPUT,
    ),
    _action("rotate-fernet-key", "Encrypt tokens and secrets again with the newest [core] fernet_key"),
    _action("dispatcher", "Turn deliveries into DAG runs until it is stopped"),
)  # fmt: skip


def get_cli_commands() -> list[GroupCommand]:
    """Airflow's ``cli`` hook of a provider."""
    return [GroupCommand(name="webhooks", help="Manage inbound webhooks", subcommands=COMMANDS)]


# --- handlers -------------------------------------------------------------------------------

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
            _exit(WRONG_CALL if wrong else FAILED, error.message)

    return handle


@_handler
def create_command(args: Namespace) -> None:
    """Create a webhook."""
    from inbound_webhooks import definitions

    fields = {
        "preset": args.preset,
        "proofs": None if args.proof is None else [_json_argument("--proof", text) for text in args.proof],
        "filter": args.filter,
        "dedup": args.dedup,
        "allowed_addresses": args.allow,
        "max_per_second": args.max_per_second,
        "response_content_type": args.response_content_type,
        "response_template": _text_argument(args.response_template),
        "response_status": args.response_status,
    }
    webhook = definitions.create(
        args.name,
        args.dag_id,
        actor=_actor(),
        secrets=[_secret(text) for text in args.secret],
        mapping=_mapping(args.map),
        enabled=not args.disabled,
        **{name: value for name, value in fields.items() if value is not None},
    )
    for warning in definitions.warnings(webhook):
        print(warning, file=sys.stderr)
    _print(_summary(webhook) | {"url": definitions.url(webhook)}, args.output)


@_handler
def list_command(args: Namespace) -> None:
    """List all webhooks."""
    from inbound_webhooks.storage import queries
    from inbound_webhooks.storage.database import transaction

    with transaction() as connection:
        webhooks = queries.list_webhooks(connection)
    _print([_summary(webhook) for webhook in webhooks], args.output)


@_handler
def show_command(args: Namespace) -> None:
    """Show one webhook."""
    from inbound_webhooks import definitions
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
        "warnings": definitions.warnings(webhook),
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
    _print(shown, args.output)


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
    if not args.yes and not _agrees(f"Delete the webhook {webhook.name!r}, its URL and its tokens?"):
        _exit(FAILED, "Nothing was deleted.")
    cancelled = definitions.delete(args.name, actor=_actor())
    held = f" {cancelled} deliveries that had not started were cancelled." if cancelled else ""
    print(f"Deleted {webhook.name}.{held}")


@_handler
def rotate_command(args: Namespace) -> None:
    """Give a webhook a new URL and print it, or a new secret."""
    from inbound_webhooks import definitions

    if not 0 <= args.grace_hours <= MAX_GRACE_HOURS:
        _exit(WRONG_CALL, f"--grace-hours is between 0 and {MAX_GRACE_HOURS}.")
    if args.secret is None:
        webhook = definitions.rotate(args.name, actor=_actor(), grace_hours=args.grace_hours)
        print(definitions.url(webhook))
    else:
        secret = _secret(args.secret)
        webhook = definitions.rotate_secret(args.name, secret, actor=_actor(), grace_hours=args.grace_hours)
        print(f"{webhook.name} has a new secret for {secret.purpose}.")


@_handler
def presets_command(args: Namespace) -> None:
    """List the presets."""
    from inbound_webhooks.presets import PRESETS

    rows = [
        {"name": preset.name, "sender": preset.title, "documentation": preset.documentation_url}
        for preset in PRESETS.values()
    ]
    _print(rows, args.output)


@_handler
def deliveries_command(args: Namespace) -> None:
    """List deliveries, newest first."""
    from inbound_webhooks import definitions
    from inbound_webhooks.storage import queries
    from inbound_webhooks.storage.database import transaction

    if args.state is not None and args.state not in queries.State.ALL:
        _exit(WRONG_CALL, f"--state is one of {', '.join(queries.State.ALL)}.")
    if args.limit < 1:
        _exit(WRONG_CALL, "--limit is at least 1.")
    webhook_id = definitions.get(args.name).id if args.name else None
    with transaction() as connection:
        rows = queries.list_deliveries(connection, webhook_id=webhook_id, state=args.state, limit=args.limit)
    _print([_delivery(row) for row in rows], args.output)


@_handler
def replay_command(args: Namespace) -> None:
    """Accept a stored delivery once more."""
    from inbound_webhooks.receiver.door import door
    from inbound_webhooks.receiver.replay import replay

    delivery = replay(door(), args.delivery_id, actor=_actor(), remap=args.remap)
    _print(_delivery(delivery), args.output)


@_handler
def try_command(args: Namespace) -> None:
    """Show what a request would become."""
    from inbound_webhooks import definitions
    from inbound_webhooks.receiver.door import door
    from inbound_webhooks.receiver.tryout import try_out

    webhook = definitions.get(args.name)
    body = _bytes_argument(args.data)
    headers = [_header(text) for text in args.header]
    tried = try_out(door(), webhook, method=args.method, query_string=args.query, headers=headers, body=body)
    _print(tried, args.output)


@_handler
def rotate_fernet_key_command(args: Namespace) -> None:
    """Encrypt everything again."""
    from inbound_webhooks import definitions

    counts = definitions.reencrypt_all(actor=_actor())
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
        _exit(WRONG_CALL, error.message)
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signal_number, lambda *_: dispatcher.stop())
    dispatcher.run()


# --- arguments and output -------------------------------------------------------------------


def _set_enabled(name: str, enabled: bool) -> None:
    from inbound_webhooks import definitions

    webhook = definitions.set_enabled(name, enabled, actor=_actor())
    print(f"{'Enabled' if enabled else 'Disabled'} {webhook.name}.")


def _mapping(lines: list[str]) -> dict[str, str]:
    mapping: dict[str, str] = {}
    for line in lines:
        name, equals, expression = line.partition("=")
        if not equals or not name.strip():
            _exit(WRONG_CALL, f"--map wants PARAMETER=EXPRESSION, not {line!r}.")
        if name.strip() in mapping:
            _exit(WRONG_CALL, f"--map names {name.strip()!r} twice.")
        mapping[name.strip()] = expression
    return mapping


def _secret(text: str) -> Any:
    """``[PURPOSE=]@FILE|-|env:NAME`` -> the secret; never the secret itself, which shells remember."""
    from inbound_webhooks.definitions import NewSecret
    from inbound_webhooks.event.signature import DEFAULT_PURPOSE

    match = re.fullmatch(r"(?:([a-z_]+)=)?(@.+|-|env:.+)", text)
    if match is None:
        _exit(WRONG_CALL, "--secret wants @FILE, - or env:NAME, so that no shell remembers it.")
    source = match[2]
    if source.startswith("env:"):
        value = os.environ.get(source[4:])
        if value is None:
            _exit(WRONG_CALL, f"The environment variable {source[4:]} is not set.")
    else:
        value = _text_argument("@-" if source == "-" else source) or ""
    return NewSecret(match[1] or DEFAULT_PURPOSE, value.strip("\r\n"))


def _json_argument(option: str, text: str) -> Any:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        _exit(WRONG_CALL, f"{option} wants a JSON object.")
    return value


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        _exit(WRONG_CALL, f"--header wants 'Name: value', not {text!r}.")
    return name.strip(), value.strip()


def _bytes_argument(text: str) -> bytes:
    if not text.startswith("@"):
        return text.encode()
    try:
        return sys.stdin.buffer.read() if text == "@-" else Path(text[1:]).read_bytes()
    except OSError as error:
        _exit(WRONG_CALL, f"{text[1:]}: {error.strerror}.")


def _text_argument(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        return _bytes_argument(text).decode()
    except UnicodeDecodeError:
        _exit(WRONG_CALL, f"{text[1:]} is not UTF-8 text.")


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


def _print(data: dict[str, Any] | list[dict[str, Any]], output: str) -> None:
    """Print one object or a list of them; JSON and YAML keep types, tables show text."""
    if output == "json":
        print(json.dumps(data, ensure_ascii=False))
    elif output == "yaml":
        import yaml

        print(yaml.safe_dump(data, sort_keys=False, allow_unicode=True), end="")
    else:
        from airflow.cli.simple_table import AirflowConsole

        rows = data if isinstance(data, list) else [{"field": k, "value": _cell(v)} for k, v in data.items()]
        AirflowConsole().print_as(rows, output)


def _cell(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else str(value)


def _agrees(question: str) -> bool:
    if not sys.stdin.isatty():
        _exit(WRONG_CALL, "Without a terminal to ask on, --yes is needed.")
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")


def _actor() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without an entry in passwd
        return f"uid {os.getuid()}"


def _exit(status: int, message: str) -> NoReturn:
    print(message, file=sys.stderr)
    raise SystemExit(status)
