"""Parses the arguments of all commands, prints their output, and turns errors into exit statuses."""

from __future__ import annotations

import functools
import getpass
import io
import json
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from inbound_webhooks.cli.standard_output import STANDARD_OUTPUT
from inbound_webhooks.errors import (
    ConfigurationError,
    DefinitionError,
    FernetKeyMalformed,
    InvalidDefinition,
    WebhookError,
)
from inbound_webhooks.records.webhook import FIELDS, json_fields

if TYPE_CHECKING:
    from argparse import Namespace

    from inbound_webhooks.records.webhook import Webhook
    from inbound_webhooks.records.webhook_fields import WebhookField

OTHER_FLAGS = {
    "secrets": ("secret", "--secret"),
    "refresh_keys": ("refresh_keys", "--refresh-keys"),
    "events": ("event", "--event"),
}
"""Arguments of a call that are no fields of a webhook: identifier in errors -> (argument, option)."""

WRONG_CALL, FAILED, BROKEN_PIPE = 2, 1, 141
"""Exit statuses: the call itself is wrong; a correct call failed; the reader of the output is gone (128 and
the number of SIGPIPE, as a shell reports programs that the signal ends)."""

Handler = Callable[["Namespace"], None]

# Control characters except tab and line feed, and those that change the direction of the text: a sender
# could move the cursor or disguise what a terminal shows.
_CONTROL_CHARACTERS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_SECRET = re.compile(r"(?:([a-z][a-z0-9_-]*)=)?(@.+|-|env:.+)")


def handler(function: Handler) -> Handler:
    """Keep the output free of everything else; report our errors as one line and an exit status."""

    @functools.wraps(function)
    def handle(args: Namespace) -> None:
        STANDARD_OUTPUT.claim()
        from inbound_webhooks.airflow_bridge.command_line import as_command

        try:
            as_command(function)(args)
        except WebhookError as error:
            exit_with(exit_status(error), _explain(error, args))
        except BrokenPipeError:  # such as `| head -1`
            raise SystemExit(BROKEN_PIPE) from None

    return handle


def exit_status(error: WebhookError) -> int:
    """The exit status for an error."""
    is_wrong_call = isinstance(error, (DefinitionError, ConfigurationError))
    return WRONG_CALL if is_wrong_call and not isinstance(error, FernetKeyMalformed) else FAILED


def _explain(error: WebhookError, args: Namespace) -> str:
    """The error's message; prefixed with the option of the wrong field if the command has one."""
    if not isinstance(error, InvalidDefinition):
        return error.message
    problem = error.problem
    dest, flag = OTHER_FLAGS.get(problem.field, (problem.field, ""))
    if problem.field in FIELDS:
        flag = FIELDS[problem.field].flag
    if not flag.startswith("--") or not hasattr(args, dest):
        return error.message
    return f"{flag} {problem.part}".strip() + f": {problem.message}"


def parse_mapping(field: WebhookField, lines: list[str]) -> dict[str, str]:
    """Parse lines of the form ``PARAMETER=EXPRESSION``, or with the field's separator."""
    mapping: dict[str, str] = {}
    for line in lines:
        name, separator, expression = line.partition(field.separator or "=")
        if not separator or not name.strip():
            exit_with(WRONG_CALL, f"{field.flag} expects {field.metavar}, not {line!r}.")
        if name.strip() in mapping:
            exit_with(WRONG_CALL, f"{field.flag} sets {name.strip()!r} twice.")
        mapping[name.strip()] = expression.strip() if field.separator else expression
    return mapping


def read_secret(text: str) -> tuple[str, str]:
    """``[PURPOSE=]@FILE|-|env:NAME`` -> (purpose, secret); the purpose is "" if the text names none.

    The secret itself is refused: shell histories and process lists would show it.
    """
    match = _SECRET.fullmatch(text)
    if match is None:
        exit_with(
            WRONG_CALL,
            "--secret expects @FILE, - or env:NAME, so that the shell's history does not keep the secret.",
        )
    source = match[2]
    if source.startswith("env:"):
        value = os.environ.get(source[4:])
        if value is None:
            exit_with(WRONG_CALL, f"The environment variable {source[4:]} is not set.")
    else:
        value = read_text("@-" if source == "-" else source) or ""
    return match[1] or "", value.strip("\r\n")


def reads_standard_input(text: str) -> bool:
    """Whether a ``--secret`` reads standard input."""
    match = _SECRET.fullmatch(text)
    return match is not None and match[2] in ("-", "@-")


def parse_json(option: str, text: str) -> Any:
    """Parse a JSON object."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        exit_with(WRONG_CALL, f"{option} expects a JSON object.")
    return value


def parse_list(text: str) -> list[str]:
    """Split at commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


def parse_header(text: str) -> tuple[str, str]:
    """Parse ``Name: value``."""
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        exit_with(WRONG_CALL, f"--header expects 'Name: value', not {text!r}.")
    return name.strip(), value.strip()


def read_bytes(text: str) -> bytes:
    """The bytes of ``TEXT``, of ``@FILE``, or of standard input for ``@-``."""
    if not text.startswith("@"):
        return text.encode()
    try:
        return sys.stdin.buffer.read() if text == "@-" else Path(text[1:]).read_bytes()
    except OSError as error:
        exit_with(WRONG_CALL, f"{text[1:]}: {error.strerror}.")


def read_text(text: str | None) -> str | None:
    """Like :func:`read_bytes`, decoded; None stays None."""
    if text is None:
        return None
    try:
        return read_bytes(text).decode()
    except UnicodeDecodeError:
        exit_with(WRONG_CALL, f"{text[1:]} is not UTF-8 text.")


def print_text(text: str, *, encoding: str | None = None) -> None:
    """Print the output of a command, with a line end where it has none.

    :param encoding: instead of the terminal's, for a file format that has one of its own
    """
    try:
        STANDARD_OUTPUT.write(text if text.endswith("\n") else f"{text}\n", encoding=encoding)
    except BrokenPipeError:
        raise
    except OSError as error:
        exit_with(FAILED, f"The output could not be written: {error.strerror}.")


def print_data(data: dict[str, Any] | list[dict[str, Any]], output: str) -> None:
    """Print an object or a list of objects; JSON and YAML keep types, tables show text.

    JSON and YAML are ASCII, like Airflow's own, so that they are the same in every terminal.
    """
    if output == "json":
        # DEL is the only control character that JSON does not escape in ASCII.
        print_text(json.dumps(data).replace("\x7f", "\\u007f"))
    elif output == "yaml":
        import yaml

        print_text(yaml.safe_dump(data, sort_keys=False))
    else:
        print_text(_table(data, output))


def _table(data: dict[str, Any] | list[dict[str, Any]], output: str) -> str:
    from inbound_webhooks.airflow_bridge.command_line import print_rows

    rows = data if isinstance(data, list) else [{"field": k, "value": _cell(v)} for k, v in data.items()]
    page = _Page(is_terminal=STANDARD_OUTPUT.is_terminal)
    # Airflow's console asks sys.stdout whether it is a terminal, and prints plain tables there.
    with redirect_stdout(page):
        print_rows(
            [{name: _escape_markup(value, output) for name, value in row.items()} for row in rows], output
        )
    return page.getvalue()


class _Page(io.StringIO):
    """Collects a table with the width and colours of the terminal that will show it."""

    def __init__(self, *, is_terminal: bool) -> None:
        super().__init__()
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal


def _escape_markup(value: Any, output: str) -> Any:
    """Neutralise a sender's text, which could hold markup for the table or control the terminal."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    from rich.markup import escape

    shown = _strip_control_characters(str(value))
    return escape(shown) if output == "table" else shown


def _strip_control_characters(text: str) -> str:
    return _CONTROL_CHARACTERS.sub("\N{REPLACEMENT CHARACTER}", text)


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return "\n".join(_item(item) for item in value)
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value)


def _item(item: Any) -> str:
    """A list item on one line, without absent values."""
    if not isinstance(item, dict) or any(isinstance(value, (dict, list)) for value in item.values()):
        return item if isinstance(item, str) else json.dumps(item, ensure_ascii=False)
    return ", ".join(f"{name}: {value}" for name, value in item.items() if value is not None)


def print_sections(title: str, sections: Mapping[str, Sequence[str]]) -> None:
    """Print headings with their lines; a heading without lines is omitted."""
    parts = ["\n  ".join((heading, *lines)) for heading, lines in sections.items() if lines]
    print_text("\n\n".join((title, *parts)))


def print_hint(text: str) -> None:
    """Print a hint for a person on standard error; programs read standard output."""
    print(text, file=sys.stderr)


def summary(webhook: Webhook) -> dict[str, Any]:
    """The listed fields of a webhook, with its id."""
    values = json_fields(webhook)
    return {"id": webhook.id} | {name: values[name] for name, field in FIELDS.items() if field.listed}


def confirm(question: str) -> bool:
    """Ask on the terminal; without a terminal, the call is wrong."""
    if not sys.stdin.isatty():
        exit_with(WRONG_CALL, "There is no terminal for a confirmation: add --yes.")
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")


def actor() -> str:
    """The user who runs the command, for the audit log."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no entry in passwd
        return f"uid {os.getuid()}"


def exit_with(status: int, message: str) -> NoReturn:
    """Exit with a line on standard error."""
    print(message, file=sys.stderr)
    raise SystemExit(status)
