"""The documentation names what there is, and nothing else: settings, commands, senders, states, paths."""

from __future__ import annotations

import ast
import dataclasses
import re
import shlex
from argparse import SUPPRESS
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from inbound_webhooks.cli.parser import COMMANDS
from inbound_webhooks.event.expressions.allow_list import TESTS
from inbound_webhooks.event.expressions.filters import FILTERS
from inbound_webhooks.event.expressions.syntax import SOURCES
from inbound_webhooks.event.responses import STATUS
from inbound_webhooks.event.verification.registry import SCHEMES
from inbound_webhooks.monitoring.metrics import rejection_name
from inbound_webhooks.presets import PRESETS, Preset
from inbound_webhooks.presets.description import (
    dedup_in_words,
    expression_in_words,
    handshake_in_words,
    scheme_in_words,
)
from inbound_webhooks.receiver.gateway.prometheus import SummedFigures
from inbound_webhooks.records.delivery import State
from inbound_webhooks.records.delivery_states import BEHAVIOUR, BEHAVIOUR_OF_CALLS
from inbound_webhooks.rest.app import app
from inbound_webhooks.settings import Settings
from inbound_webhooks.storage.mails import MailState
from tests.infrastructure.pages import CHECKOUT, PAGES, blocks, code, page, prose, section, tables, typed

PACKAGE = CHECKOUT / "plugins" / "inbound_webhooks"

EVERYWHERE = {"--output", "--verbose"}
"""Options of Airflow's own that commands have."""

MAIL_STATES = [value for name, value in vars(MailState).items() if name.isupper()]


def table(name: str, title: str, number: int = 0) -> list[list[str]]:
    """A table below a heading of a page."""
    return tables(section(page(name), title))[number]


def names(name: str, title: str, number: int = 0) -> list[str]:
    """What stands in the first column, without backquotes."""
    return [code(row[0]) for row in table(name, title, number)]


# --- settings -------------------------------------------------------------------------------


def test_the_settings_are_those_that_exist():
    named = names("docs/operating.md", "Settings")

    assert sorted(named) == sorted(option.name for option in dataclasses.fields(Settings))


@pytest.mark.parametrize("option", dataclasses.fields(Settings), ids=lambda option: option.name)
def test_a_setting_stands_there_with_its_default(option):
    default = {code(row[0]): row[1] for row in table("docs/operating.md", "Settings")}[option.name]

    # Where nothing is set, words say what that means.
    if option.default != "":
        assert default == (
            f"{option.default:g}" if isinstance(option.default, float) else str(option.default)
        )


def test_a_setting_that_a_page_speaks_of_exists():
    text = "".join(page(name) for name in PAGES)
    variables = re.findall(r"AIRFLOW__INBOUND_WEBHOOKS__([A-Z_]+)", text)
    used = {name.lower() for name in variables} | set(re.findall(r"`(\w+) = ", text))

    assert used <= {option.name for option in dataclasses.fields(Settings)}


# --- commands -------------------------------------------------------------------------------


def options_of(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))


def test_the_commands_are_those_that_exist():
    named = {name.split()[0] for name in names("docs/commands.md", "Commands")}

    assert named == {command.name for command in COMMANDS}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_a_command_stands_there_with_the_options_that_it_has(command):
    shown = "".join(name for name in names("docs/commands.md", "Commands") if name.split()[0] == command.name)
    if command.name == "create":
        shown = " ".join([shown, *names("docs/commands.md", "Options of create")])
    shown_in_help = [argument for argument in command.args if argument.kwargs.get("help") != SUPPRESS]
    flags = {flag for argument in shown_in_help for flag in argument.flags if flag.startswith("--")}

    assert options_of(shown) == flags - EVERYWHERE


_CALL = re.compile(r"airflow webhooks ((?:'[^']*'|[^'()|>\n])*)")
_CALL_IN_PROSE = re.compile(r"`airflow webhooks ([a-z][^`…]*)`")


def calls(text: str) -> Iterator[list[str]]:
    """The words behind ``airflow webhooks`` of each call in a page's console blocks."""
    for block in blocks(text, "console"):
        for call in _CALL.findall(re.sub(r"\\?\n +", " ", typed(block))):
            yield shlex.split(call, comments=True)


@pytest.mark.parametrize("name", [name for name in PAGES if any(calls(page(name)))])
def test_a_call_that_a_page_shows_is_one_that_airflow_takes(parser, name):
    for words in calls(page(name)):
        parser.parse_args(["webhooks", *words])


def test_a_command_that_a_page_speaks_of_has_the_options_that_are_named_with_it():
    flags = {command.name: {flag for one in command.args for flag in one.flags} for command in COMMANDS}
    for call in _CALL_IN_PROSE.findall("".join(prose(page(name)) for name in PAGES)):
        assert options_of(call) <= flags[call.split()[0]], call


# --- senders --------------------------------------------------------------------------------


def cell(words: str) -> str:
    """As it stands in a table: Jinja as code."""
    return re.sub(r"\{\{.*?\}\}", lambda found: f"`{found[0]}`", words)


def row_of(preset: Preset) -> list[str]:
    return [
        preset.title,
        f"`{preset.name}`",
        scheme_in_words(preset),
        handshake_in_words(preset),
        cell(dedup_in_words(preset)),
        cell(expression_in_words(preset.event_type)),
        f"[documentation]({preset.documentation_url})",
    ]


def test_the_table_of_senders_is_what_the_presets_say_in_their_order():
    assert table("docs/presets.md", "All presets") == [row_of(preset) for preset in PRESETS.values()]


def test_the_kinds_of_verification_stand_there_with_their_settings():
    named = {code(row[0]): re.findall(r"`(\w+)`", row[2]) for row in table("docs/presets.md", "Verification")}

    assert named == {kind: [field.name for field in dataclasses.fields(SCHEMES[kind])] for kind in SCHEMES}


# --- expressions ----------------------------------------------------------------------------


def test_the_functions_of_expressions_are_those_that_exist():
    assert sorted(names("docs/expressions.md", "Filters")) == sorted(FILTERS)
    assert sorted(names("docs/expressions.md", "Tests")) == sorted(TESTS)


def test_the_sources_of_expressions_are_those_that_exist():
    named = [
        name.removeprefix("${Webhook::").rstrip("…}") for name in names("docs/expressions.md", "Sources")
    ]

    assert sorted(named) == sorted(SOURCES)


# --- states and answers ---------------------------------------------------------------------


def test_the_states_are_those_that_exist():
    assert sorted(names("docs/concepts.md", "Delivery states")) == sorted(State.ALL)
    assert sorted(names("docs/mail.md", "E-mail")) == sorted(MAIL_STATES)


def test_each_reason_stands_there_with_the_status_that_it_has():
    named = {code(row[2]): int(row[1]) for row in table("docs/concepts.md", "Responses", 1)}

    assert named == {
        rejection_name(error.__name__).removeprefix("rejected."): status for error, status in STATUS.items()
    }


# --- figures --------------------------------------------------------------------------------


_ENDS = (State.SUCCEEDED, State.FAILED)
SEVERAL = {
    "BEHAVIOUR[State.DISPATCHED].metric": [BEHAVIOUR[State.DISPATCHED].metric],
    "BEHAVIOUR[State.SUCCEEDED].metric": [BEHAVIOUR[State.SUCCEEDED].metric],
    "BEHAVIOUR[State.UNDELIVERABLE].metric": [BEHAVIOUR[State.UNDELIVERABLE].metric],
    "BEHAVIOUR[State.UNMATCHED].metric": [BEHAVIOUR[State.UNMATCHED].metric],
    "BEHAVIOUR[state].metric": [BEHAVIOUR[state].metric for state in _ENDS],
    "BEHAVIOUR[outcome.state].metric": [BEHAVIOUR[state].metric for state in _ENDS],
    "BEHAVIOUR[ended_in].metric": [BEHAVIOUR[state].metric for state in (State.SUPERSEDED, State.SKIPPED)],
    "BEHAVIOUR_OF_CALLS[state].metric": [
        BEHAVIOUR_OF_CALLS[state].metric for state in (*_ENDS, State.CANCELLED)
    ],
    "mails.*": [f"mails.{state}" for state in MAIL_STATES],
    "thread_failures.*": ["thread_failures.<thread>"],
    "verdict.outcome": [State.ACCEPTED, State.FILTERED],
    "each.state": [State.ACCEPTED, State.FILTERED, State.HELD, State.SPLIT, *State.GROUPED],
    "delivery.state": [State.ACCEPTED, State.FILTERED, State.HELD, State.SPLIT, *State.GROUPED],
}
"""What a module puts together -> the figures that come of it."""


def names_sent(source: Path) -> Iterator[str]:
    """The figures that a module sends: names, and what it puts names together of."""
    for node in ast.walk(ast.parse(source.read_text())):
        match node:
            case ast.Call(func=ast.Attribute(ast.Name("metrics"), "count_rejection")):
                yield "rejected.<reason>"
            case ast.Call(func=ast.Attribute(ast.Name("metrics"), "count" | "gauge" | "timing"), args=args):
                yield _name(args[0])


def _name(argument: ast.expr) -> str:
    match argument:
        case ast.Constant(str(name)):
            return name
        case ast.JoinedStr([ast.Constant(prefix), *_]):
            return f"{prefix}*"
    return ast.unparse(argument)


def figures() -> set[str]:
    found = {name for source in PACKAGE.rglob("*.py") for name in names_sent(source)}
    return {figure for name in found for figure in SEVERAL.get(name, [name])}


def test_the_documented_metrics_are_those_that_are_sent():
    assert set(names("docs/operating.md", "Metrics")) == figures()


def test_the_figures_for_prometheus_are_those_of_a_gateway(tmp_path):
    registry = CollectorRegistry()
    registry.register(SummedFigures(tmp_path))
    named = {name.removesuffix("_total") for name in names("docs/operating.md", "Metrics", 1)}

    assert named == {family.name for family in registry.collect()}


# --- REST -----------------------------------------------------------------------------------


def operations() -> dict[str, dict[str, set[str]]]:
    """Path -> method -> parameters in the query, as the API describes itself."""
    return {
        path.removeprefix("/v1"): {
            method.upper(): {one["name"] for one in described.get("parameters", ()) if one["in"] == "query"}
            for method, described in methods.items()
        }
        for path, methods in app.openapi()["paths"].items()
        if path.startswith("/v1/")
    }


def test_the_paths_of_the_rest_api_stand_there_with_their_methods_and_parameters():
    named = {
        code(path): {
            method: set(re.findall(r"`(\w+)`", in_brackets))
            for method, in_brackets in re.findall(r"\b(GET|POST|PATCH|DELETE)\b(?: \(([^)]*)\))?", methods)
        }
        for path, methods in table("docs/rest.md", "REST API")
    }

    assert named == operations()


# --- make -----------------------------------------------------------------------------------


def test_a_target_of_make_that_a_page_names_exists():
    targets = set(re.findall(r"^([a-z-]+):", page("Makefile"), re.MULTILINE))
    named = re.findall(r"(?:`|\$ )make ([a-z-]+)", "".join(page(name) for name in PAGES))

    assert set(named) <= targets
