"""The seeded faults: reading `faults.toml`, and making one of them in a folder."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # comes with pytest

FAULTS_FILE = Path(__file__).with_name("faults.toml")


class CannotApply(Exception):
    """A fault whose snippet is not in its file exactly once."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One small change that breaks a promise of the product."""

    name: str
    """A sentence that says what is wrong with the fault in place."""
    promise: str
    """What the product promises, and no longer does."""
    file: str
    """Path below the checkout."""
    find: str
    """A snippet that is in the file exactly once."""
    replace: str
    found_by: tuple[str, ...]
    """Tests that fail with the fault in place: ``tests/path/test_module.py::test_name``."""

    def apply_to(self, source: str) -> str:
        """The source with the fault in it.

        :raises CannotApply: the snippet is missing, or there several times
        """
        found = source.count(self.find)
        if found != 1:
            raise CannotApply(f"{self.name}: the snippet is {found} times in {self.file}, not once")
        return source.replace(self.find, self.replace)

    def apply_in(self, checkout: Path) -> None:
        """Change the file in a copy of the checkout.

        :raises CannotApply: the file or its snippet is missing, or the snippet is there several times
        """
        path = checkout / self.file
        if not path.is_file():
            raise CannotApply(f"{self.name}: there is no file {self.file}")
        path.write_text(self.apply_to(path.read_text()))


def load_faults(path: Path = FAULTS_FILE) -> list[Fault]:
    """All faults, in the order of the file."""
    with path.open("rb") as file:
        entries = tomllib.load(file)["fault"]
    return [Fault(**{**entry, "found_by": tuple(entry["found_by"])}) for entry in entries]


def choose(faults: Sequence[Fault], texts: Sequence[str]) -> list[Fault]:
    """Those whose name holds one of the texts, whatever the case; all without a text."""
    wanted = [text.lower() for text in texts]
    return [fault for fault in faults if not wanted or any(text in fault.name.lower() for text in wanted)]
