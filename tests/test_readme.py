"""The README names what there is: settings, commands, senders, proofs, filters, statuses."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from inbound_webhooks.event.filters import FILTERS
from inbound_webhooks.event.signature import PROOFS
from inbound_webhooks.presets import PRESETS, Preset
from inbound_webhooks.presets.description import (
    dedup_in_words,
    expression_in_words,
    handshake_in_words,
    proof_in_words,
)
from inbound_webhooks.settings import Settings

README = (Path(__file__).parent.parent / "README.md").read_text()


def section(title: str) -> str:
    """The text below a heading of the second level."""
    return README.split(f"\n## {title}\n")[1].split("\n## ")[0]


@pytest.mark.parametrize("option", dataclasses.fields(Settings), ids=lambda option: option.name)
def test_every_setting_stands_in_the_readme_with_its_default(option: dataclasses.Field) -> None:
    row = re.search(rf"^\| `{option.name}` \| ([^|]+) \|", section("Settings"), re.MULTILINE)

    assert row, f"{option.name} has no row"
    if option.default != "":
        assert row[1] == f"{option.default:g}" if isinstance(option.default, float) else str(option.default)


def test_the_readme_names_no_setting_that_does_not_exist() -> None:
    named = re.findall(r"^\| `([a-z_]+)` \|", section("Settings"), re.MULTILINE)

    assert set(named) == {option.name for option in dataclasses.fields(Settings)}


def test_every_command_stands_in_the_readme() -> None:
    from inbound_webhooks.cli import COMMANDS

    named = set(re.findall(r"`([a-z-]+)[ `]", section("Commands")))

    assert {command.name for command in COMMANDS} <= named


def test_every_long_option_in_the_readme_exists() -> None:
    from inbound_webhooks.cli import COMMANDS

    known = {flag for command in COMMANDS for argument in command.args for flag in argument.flags}
    shown = section("Commands") + section("A first webhook") + section("Senders")
    used = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", shown))

    assert used - {"--data-binary"} <= known


def test_the_readme_lists_exactly_the_filters_that_expressions_have() -> None:
    line = next(line for line in section("Expressions").splitlines() if line.startswith("Filters:"))

    assert set(re.findall(r"`(\w+)`", line)) == set(FILTERS)


def test_every_status_of_an_error_stands_in_the_readme() -> None:
    from inbound_webhooks.receiver.answers import STATUS

    named = {int(status) for status in re.findall(r"\b\d{3}\b", section("What the sender hears"))}

    assert set(STATUS.values()) <= named


def cell(words: str) -> str:
    """As it stands in a table: Jinja as code, bars escaped."""
    return re.sub(r"\{\{.*?\}\}", lambda found: f"`{found[0]}`", words).replace("|", "\\|")


def row_of(preset: Preset) -> str:
    cells = (
        preset.title,
        f"`{preset.name}`",
        proof_in_words(preset),
        handshake_in_words(preset),
        cell(dedup_in_words(preset)),
        cell(expression_in_words(preset.event_type)),
        f"[documentation]({preset.documentation_url})",
    )
    return f"| {' | '.join(cells)} |"


def test_the_table_of_senders_is_what_the_presets_say_in_their_order() -> None:
    table = section("Senders").split("|---|---|---|---|---|---|---|\n")[1].split("\n\n")[0]

    assert table.splitlines() == [row_of(preset) for preset in PRESETS.values()]


@pytest.mark.parametrize("kind", PROOFS)
def test_every_kind_of_proof_stands_in_the_readme_with_its_settings(kind: str) -> None:
    row = re.search(rf"^\| `{kind}` \| [^|]+ \| (.+) \|$", section("Senders"), re.MULTILINE)

    assert row, f"{kind} has no row"
    assert re.findall(r"`(\w+)`", row[1]) == [field.name for field in dataclasses.fields(PROOFS[kind])]
