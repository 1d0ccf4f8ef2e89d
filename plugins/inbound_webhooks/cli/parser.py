"""The commands ``airflow webhooks …`` and their arguments, as data."""

from __future__ import annotations

from argparse import SUPPRESS, Action, ArgumentParser, Namespace
from typing import Any, NoReturn

from airflow.cli.cli_config import (
    ARG_OUTPUT,
    ARG_VERBOSE,
    ActionCommand,
    Arg,
    GroupCommand,
    lazy_load_command,
)

from inbound_webhooks.records.webhook import FIELDS
from inbound_webhooks.records.webhook_fields import WebhookField


def _port(text: str) -> int:
    number = int(text)
    if not 0 < number < 65536:
        raise ValueError
    return number


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


class _Renamed(Action):
    """The former name of an option: refuses the call and names the current one."""

    def __init__(self, option_strings: list[str], dest: str, **more: Any) -> None:
        super().__init__(option_strings, dest, nargs="?", **more)

    def __call__(self, _parser: ArgumentParser, _namespace: Namespace, *_given: Any) -> NoReturn:
        # Every `airflow` command builds this parser, so it imports the rest of the package only when needed.
        from inbound_webhooks.cli.console import WRONG_CALL, exit_with
        from inbound_webhooks.records.renamed import renamed

        exit_with(WRONG_CALL, f"{renamed(self.option_strings[0])}.")


ARG_NAME = Arg(("name",), metavar="NAME", help="Name or id of the webhook")
ARG_OPTIONAL_NAME = Arg(
    ("name",), metavar="NAME", nargs="?", help="Name or id of a webhook; without it, all webhooks"
)
ARG_PRESET_NAME = Arg(
    ("name",), metavar="NAME", nargs="?", help="A preset to show in full; without it, a list"
)
ARG_SECRET = Arg(
    ("--secret",),
    metavar="[PURPOSE=]@FILE|-|env:NAME",
    action="append",
    default=[],
    help="A secret for the verification, from a file, standard input or an environment variable",
)
ARG_PROOF = Arg(("--proof",), action=_Renamed, help=SUPPRESS)
ARG_REFRESH_KEYS = Arg(
    ("--refresh-keys",),
    action="store_true",
    help="Let the dispatcher fetch the sender's public keys (Amazon SNS, Google) and renew them",
)
ARG_EVENT = Arg(
    ("--event",),
    metavar="TYPE",
    action="append",
    default=[],
    help="An event type to accept, as the sender names it; repeatable. Other events start no run",
)
ARG_GRACE = Arg(
    ("--grace-hours",),
    metavar="N",
    type=float,
    default=0.0,
    help="Hours during which the old one stays valid",
)
ARG_ONE_SECRET = Arg(
    ("--secret",), metavar="[PURPOSE=]@FILE|-|env:NAME", help="Rotate this secret instead of the URL"
)
ARG_HOST = Arg(("--host",), metavar="ADDRESS", default="127.0.0.1", help="Address to listen on")
ARG_PORT = Arg(("--port",), metavar="N", type=_port, default=8787, help="Port to listen on")
ARG_WORKERS = Arg(
    ("--workers",), metavar="N", type=_positive, default=1, help="Number of processes that share the port"
)
ARG_METRICS_HOST = Arg(
    ("--metrics-host",), metavar="ADDRESS", default="127.0.0.1", help="Address of the metrics for Prometheus"
)
ARG_METRICS_PORT = Arg(
    ("--metrics-port",), metavar="N", type=_port, help="Port of the metrics for Prometheus; without it, none"
)
ARG_CHECK = Arg(
    ("--check",),
    action="store_true",
    help="Only report whether a dispatcher on this host was active in the last minute; exit with 1 if not",
)
ARG_YES = Arg(("--yes",), action="store_true", help="Do not ask for confirmation")
ARG_STATE = Arg(("--state",), metavar="STATE", help="Only deliveries in this state")
ARG_LIMIT = Arg(("--limit",), metavar="N", type=int, default=25, help="Number of deliveries (default: 25)")
ARG_HOURS = Arg(
    ("--hours",),
    metavar="N",
    type=int,
    default=24,
    help="Number of hours, with the current one (default: 24)",
)
ARG_DELIVERY_ID = Arg(("delivery_id",), metavar="DELIVERY_ID", help="Id of the delivery")
ARG_OPTIONAL_DELIVERY_ID = Arg(("delivery_id",), metavar="DELIVERY_ID", nargs="?", help="Id of the delivery")
ARG_WHERE = Arg(
    ("--where",),
    metavar="CONDITION=VALUE",
    action="append",
    default=[],
    help="Only deliveries with this webhook, dag, state, event, id or text (a part of the body), or received "
    "from or to a time; repeatable, all hold together, several states are alternatives",
)
ARG_JOB_ID = Arg(("job_id",), metavar="JOB_ID", nargs="?", help="A replay job to show with its report")
ARG_CANCEL = Arg(("--cancel",), action="store_true", help="Stop the job; what was replayed stays")
ARG_WAIT_ID = Arg(("wait_id",), metavar="WAIT_ID", nargs="?", help="A wait to show")
ARG_RESUME = Arg(
    ("--resume",), action="store_true", help="Resume its task without a call; the task's result is None"
)
ARG_WAIT_STATE = Arg(("--state",), metavar="STATE", help="Only waits in this state")
ARG_LISTED = Arg(("--limit",), metavar="N", type=int, default=25, help="Number of waits (default: 25)")
ARG_REMAP = Arg(
    ("--remap",), action="store_true", help="Use the current mapping instead of the original conf"
)
ARG_DATA = Arg(("--data",), metavar="TEXT|@FILE", default="", help="The request's body")
ARG_HEADER = Arg(
    ("--header",), metavar="'K: V'", action="append", default=[], help="A header of the request; repeatable"
)
ARG_QUERY = Arg(
    ("--query",), metavar="Q", default="", help="The request's query string, such as 'user=john&code=7'"
)
ARG_METHOD = Arg(
    ("--method",), metavar="M", default="POST", choices=("POST", "GET", "HEAD"), help="The request's method"
)
ARG_AGAINST_LAST = Arg(
    ("--against-last",), metavar="N", type=int, help="Back-test the last N deliveries instead of one request"
)
ARG_DRAFT_FILE = Arg(
    ("--file",), metavar="FILE", help="With --against-last: a definition file with the changed webhook"
)
ARG_CURL = Arg(
    ("--curl",),
    action="store_true",
    help="Print commands for a shell that send the request; openssl signs it with the secret in "
    "WEBHOOK_SECRET",
)
ARG_PATHS = Arg(("paths",), metavar="FILE|DIR", nargs="+", help="Definition files, or folders of them")
ARG_OPTIONAL_PATHS = Arg(
    ("paths",),
    metavar="FILE|DIR",
    nargs="*",
    help="Definition files, or folders of them; without any, the stored webhooks",
)
ARG_DAGS_FOLDER = Arg(
    ("--dags-folder",),
    metavar="DIR",
    help="Folder of the DAG files; without it, the folders among the arguments",
)
ARG_DRY_RUN = Arg(("--dry-run",), action="store_true", help="Only print what would change, field by field")
ARG_PRUNE = Arg(
    ("--prune",), action="store_true", help="Delete webhooks that no file names, after a confirmation"
)
ARG_NAMES = Arg(
    ("names",), metavar="NAME", nargs="*", help="Names or ids of webhooks; without any, all webhooks"
)
ARG_HELD_NAMES = Arg(("names",), metavar="NAME", nargs="*", help="Names or ids of webhooks")
ARG_ALL = Arg(
    ("--all",), action="store_true", help="All webhooks, also those that are created while the hold lasts"
)
ARG_PER_MINUTE = Arg(
    ("--per-minute",), metavar="N", type=_positive, help="Held deliveries that go on in a minute, at most"
)
ARG_WINDOW = Arg(
    ("--window",),
    metavar="HH:MM-HH:MM",
    help="Hours in which held deliveries go on, in Airflow's default time zone",
)
ARG_WITH_SECRETS = Arg(
    ("--with-secrets",), action="store_true", help="Include secrets in plain text; never commit such a file"
)


def _field_argument(field: WebhookField) -> Arg:
    """The argument of ``create`` that sets a field; the parser stores it under the field's name."""
    options: dict[str, Any] = {"help": (field.flag_help or field.help).replace("%", "%%")}
    if field.kind == "boolean":
        action = "store_false" if field.default else "store_true"
        return Arg((field.flag,), dest=field.name, action=action, default=field.default, **options)
    options["metavar"] = field.metavar
    if not field.flag.startswith("--"):
        return Arg((field.flag,), **options)
    if field.kind == "integer":
        options["type"] = int
    if field.is_json:
        options["action"] = "append"
        options["help"] += " Repeatable."
    return Arg((field.flag,), dest=field.name, required=field.required, **options)


MODULES = {
    "senders": {"create", "rotate", "end-grace", "presets"},
    "files": {"import", "export"},
    "check": {"check"},
    "replays": {"replay", "replays", "retry", "deliveries"},
    "samples": {"sample"},
    "activity": {"stats"},
    "waits": {"waits"},
    "holds": {"hold", "release"},
}
"""Module -> its commands; all other commands are in ``webhooks``."""


def _action(name: str, help: str, *args: Arg) -> ActionCommand:
    module = next((module for module, names in MODULES.items() if name in names), "webhooks")
    func = lazy_load_command(f"inbound_webhooks.cli.{module}.{name.replace('-', '_')}_command")
    return ActionCommand(name=name, help=help, func=func, args=(*args, ARG_VERBOSE))


COMMANDS = (
    _action(
        "create",
        "Create a webhook for a DAG or an asset",
        *map(_field_argument, FIELDS.values()), ARG_SECRET, ARG_REFRESH_KEYS, ARG_EVENT, ARG_PROOF,
        ARG_OUTPUT,
    ),
    _action("list", "List all webhooks", ARG_OUTPUT),
    _action("show", "Show one webhook, its URL and its last rejections", ARG_NAME, ARG_OUTPUT),
    _action("url", "Print the URL to give to the sender", ARG_NAME),
    _action("enable", "Accept requests, and start the deliveries that waited", ARG_NAME),
    _action("disable", "Reject requests, and start nothing", ARG_NAME),
    _action("hold", "Accept and store requests, and start nothing", ARG_HELD_NAMES, ARG_ALL),
    _action(
        "release", "End a hold: held deliveries go on in their order, and new ones after them",
        ARG_HELD_NAMES, ARG_ALL, ARG_PER_MINUTE, ARG_WINDOW,
    ),
    _action("delete", "Delete a webhook", ARG_NAME, ARG_YES),
    _action("rotate", "Generate a new URL, or set a new secret", ARG_NAME, ARG_GRACE, ARG_ONE_SECRET),
    _action("end-grace", "End the grace period of old URLs and secrets immediately", ARG_NAME),
    _action("presets", "List the presets, or show one in full", ARG_PRESET_NAME, ARG_OUTPUT),
    _action(
        "deliveries", "List the newest deliveries",
        ARG_OPTIONAL_NAME, ARG_STATE, ARG_WHERE, ARG_LIMIT, ARG_OUTPUT,
    ),
    _action(
        "stats", "Count a webhook's deliveries by the hour, and how long their runs took to start",
        ARG_NAME, ARG_HOURS, ARG_OUTPUT,
    ),
    _action(
        "delivery", "Show a delivery: request, run, outcome and notifications", ARG_DELIVERY_ID, ARG_OUTPUT
    ),
    _action(
        "replay", "Accept a stored delivery again, or all that match --where",
        ARG_OPTIONAL_DELIVERY_ID, ARG_WHERE, ARG_REMAP, ARG_YES, ARG_OUTPUT,
    ),
    _action("retry", "Try a delivery, and its mails, again at once after a failed attempt", ARG_DELIVERY_ID),
    _action(
        "replays", "List the replays of many deliveries, or show or cancel one",
        ARG_JOB_ID, ARG_CANCEL, ARG_OUTPUT,
    ),
    _action(
        "waits", "List tasks that wait for a call, or show or resume one",
        ARG_WAIT_ID, ARG_RESUME, ARG_WAIT_STATE, ARG_LISTED, ARG_OUTPUT,
    ),
    _action(
        "try",
        "Preview the conf and the response of a request, or back-test a change; runs nothing",
        ARG_NAME, ARG_DATA, ARG_HEADER, ARG_QUERY, ARG_METHOD,
        ARG_AGAINST_LAST, ARG_DRAFT_FILE, ARG_OUTPUT,
    ),
    _action("sample", "Print a request that a webhook accepts", ARG_NAME, ARG_CURL, ARG_OUTPUT),
    _action(
        "import", "Create and change webhooks to match definition files",
        ARG_PATHS, ARG_DRY_RUN, ARG_PRUNE, ARG_YES, ARG_OUTPUT,
    ),
    _action(
        "check", "Check definition files against DAG files, without a database; or check the stored webhooks",
        ARG_OPTIONAL_PATHS, ARG_DAGS_FOLDER, ARG_OUTPUT,
    ),
    _action("export", "Print webhooks as a definition file", ARG_NAMES, ARG_WITH_SECRETS),
    _action("rotate-fernet-key", "Re-encrypt tokens and secrets with the first key of [core] fernet_key"),
    _action("dispatcher", "Turn deliveries into DAG runs until stopped", ARG_CHECK),
    _action(
        "gateway",
        "Serve only the webhooks' URLs, until stopped",
        ARG_HOST, ARG_PORT, ARG_WORKERS, ARG_METRICS_HOST, ARG_METRICS_PORT,
    ),
)  # fmt: skip


def get_cli_commands() -> list[GroupCommand]:
    """Airflow's ``cli`` hook for providers."""
    return [GroupCommand(name="webhooks", help="Manage inbound webhooks", subcommands=COMMANDS)]
