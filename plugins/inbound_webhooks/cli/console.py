"""What the commands read from arguments and print, and how they end."""

from __future__ import annotations

import functools
import getpass
import json
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from inbound_webhooks.errors import ConfigurationError, DefinitionError, InvalidDefinition, WebhookError
from inbound_webhooks.records.webhook import FIELDS, json_fields

if TYPE_CHECKING:
    from argparse import Namespace

    from inbound_webhooks.records.webhook import Webhook

OTHER_FLAGS = {
    "secrets": ("secret", "--secret"),
    "refresh_keys": ("refresh_keys", "--refresh-keys"),
    "events": ("event", "--event"),
}
"""What a call gives beside the fields of a webhook: identifier in errors -> argument and option."""

WRONG_CALL, FAILED = 2, 1
"""Exit statuses: the call cannot be right; it could, and did not work."""

Handler = Callable[["Namespace"], None]

# Control characters but tab and line end, and those that turn the direction of a text.
_CONTROL_CHARACTERS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_SECRET = re.compile(r"(?:([a-z][a-z0-9_-]*)=)?(@.+|-|env:.+)")


def handler(function: Handler) -> Handler:
    """Keep Airflow's log lines out of the output, and turn our errors into one line and a status."""

    @functools.wraps(function)
    def handle(args: Namespace) -> None:
        from airflow.utils.cli import suppress_logs_and_warning
        from airflow.utils.providers_configuration_loader import providers_configuration_loaded

        try:
            suppress_logs_and_warning(providers_configuration_loaded(function))(args)
        except WebhookError as error:
            wrong = isinstance(error, (DefinitionError, ConfigurationError))
            exit_with(WRONG_CALL if wrong else FAILED, _explain(error, args))

    return handle


def _explain(error: WebhookError, args: Namespace) -> str:
    """The message; where the command has an option for the field that is wrong, with the option."""
    if not isinstance(error, InvalidDefinition):
        return error.message
    problem = error.problem
    dest, flag = OTHER_FLAGS.get(problem.field, (problem.field, ""))
    if problem.field in FIELDS:
        flag = FIELDS[problem.field].flag
    if not flag.startswith("--") or not hasattr(args, dest):
        return error.message
    return f"{flag} {problem.part}".strip() + f": {problem.message}"


def parse_mapping(lines: list[str]) -> dict[str, str]:
    """``PARAMETER=EXPRESSION`` of each line."""
    mapping: dict[str, str] = {}
    for line in lines:
        name, equals, expression = line.partition("=")
        if not equals or not name.strip():
            exit_with(WRONG_CALL, f"--map wants PARAMETER=EXPRESSION, not {line!r}.")
        if name.strip() in mapping:
            exit_with(WRONG_CALL, f"--map names {name.strip()!r} twice.")
        mapping[name.strip()] = expression
    return mapping


def read_secret(text: str) -> tuple[str, str]:
    """``[PURPOSE=]@FILE|-|env:NAME`` -> purpose, "" where none is named, and secret.

    Never the secret itself, which shells and lists of processes would show.
    """
    match = _SECRET.fullmatch(text)
    if match is None:
        exit_with(WRONG_CALL, "--secret wants @FILE, - or env:NAME, so that no shell remembers it.")
    source = match[2]
    if source.startswith("env:"):
        value = os.environ.get(source[4:])
        if value is None:
            exit_with(WRONG_CALL, f"The environment variable {source[4:]} is not set.")
    else:
        value = read_text("@-" if source == "-" else source) or ""
    return match[1] or "", value.strip("\r\n")


def reads_standard_input(text: str) -> bool:
    """Whether a secret is to come from standard input."""
    match = _SECRET.fullmatch(text)
    return match is not None and match[2] in ("-", "@-")


def parse_json(option: str, text: str) -> Any:
    """A JSON object."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        exit_with(WRONG_CALL, f"{option} wants a JSON object.")
    return value


def parse_list(text: str) -> list[str]:
    """What stands between commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


def parse_header(text: str) -> tuple[str, str]:
    """``Name: value``."""
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        exit_with(WRONG_CALL, f"--header wants 'Name: value', not {text!r}.")
    return name.strip(), value.strip()


def read_bytes(text: str) -> bytes:
    """``TEXT``, ``@FILE``, or ``@-`` for standard input."""
    if not text.startswith("@"):
        return text.encode()
    try:
        return sys.stdin.buffer.read() if text == "@-" else Path(text[1:]).read_bytes()
    except OSError as error:
        exit_with(WRONG_CALL, f"{text[1:]}: {error.strerror}.")


def read_text(text: str | None) -> str | None:
    """The same as text; None stays None."""
    if text is None:
        return None
    try:
        return read_bytes(text).decode()
    except UnicodeDecodeError:
        exit_with(WRONG_CALL, f"{text[1:]} is not UTF-8 text.")


def print_data(data: dict[str, Any] | list[dict[str, Any]], output: str) -> None:
    """Print one object or a list of them; JSON and YAML keep types, tables show text."""
    if output == "json":
        print(
            _strip_control_characters(
                json.dumps(data, ensure_ascii=False), lambda found: f"\\u{ord(found[0]):04x}"
            )
        )
    elif output == "yaml":
        import yaml

        print(yaml.safe_dump(data, sort_keys=False, allow_unicode=True), end="")
    else:
        from airflow.cli.simple_table import AirflowConsole

        rows = data if isinstance(data, list) else [{"field": k, "value": _cell(v)} for k, v in data.items()]
        AirflowConsole().print_as(
            [{name: _escape_markup(value, output) for name, value in row.items()} for row in rows], output
        )


def _escape_markup(value: Any, output: str) -> Any:
    """What a sender wrote is neither markup for the table nor an order to the terminal."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    from rich.markup import escape

    shown = _strip_control_characters(str(value), lambda _: "\N{REPLACEMENT CHARACTER}")
    return escape(shown) if output == "table" else shown


def _strip_control_characters(text: str, instead: Callable[[re.Match[str]], str]) -> str:
    return _CONTROL_CHARACTERS.sub(instead, text)


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return "\n".join(_item(item) for item in value)
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value)


def _item(item: Any) -> str:
    """One of several things, on a line of its own; what it does not have is left out."""
    if not isinstance(item, dict) or any(isinstance(value, (dict, list)) for value in item.values()):
        return item if isinstance(item, str) else json.dumps(item, ensure_ascii=False)
    return ", ".join(f"{name}: {value}" for name, value in item.items() if value is not None)


def print_sections(title: str, sections: Mapping[str, Sequence[str]]) -> None:
    """Print headings with lines below them; a heading without lines is left out."""
    print(title)
    for heading, lines in sections.items():
        if lines:
            print(f"\n{heading}", *lines, sep="\n  ")


def print_hint(text: str) -> None:
    """Print what helps a person, beside what a program reads."""
    print(text, file=sys.stderr)


def summary(webhook: Webhook) -> dict[str, Any]:
    """What each listing of a webhook begins with."""
    values = json_fields(webhook)
    return {"id": webhook.id} | {name: values[name] for name, field in FIELDS.items() if field.listed}


def confirm(question: str) -> bool:
    """Ask a person, no where there is none to ask."""
    if not sys.stdin.isatty():
        exit_with(WRONG_CALL, "Without a terminal to ask on, --yes is needed.")
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")


def actor() -> str:
    """Who runs the command, for the audit log."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without an entry in passwd
        return f"uid {os.getuid()}"


def exit_with(status: int, message: str) -> NoReturn:
    """End the command with one line on standard error."""
    print(message, file=sys.stderr)
    raise SystemExit(status)
