"""The README names what there is: settings, commands, filters, statuses."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from inbound_webhooks.event.filters import FILTERS
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
    used = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", section("Commands") + section("A first webhook")))

    assert used - {"--data-binary"} <= known


def test_the_readme_lists_exactly_the_filters_that_expressions_have() -> None:
    line = next(line for line in section("Expressions").splitlines() if line.startswith("Filters:"))

    assert set(re.findall(r"`(\w+)`", line)) == set(FILTERS)


def test_every_status_of_an_error_stands_in_the_readme() -> None:
    from inbound_webhooks.receiver.answers import STATUS

    named = {int(status) for status in re.findall(r"\b\d{3}\b", section("What the sender hears"))}

    assert set(STATUS.values()) <= named
