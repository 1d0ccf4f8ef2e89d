"""What a command of the command line has done."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass
class Done:
    """A command that has ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def one_line(text: str) -> bool:
    return text.count("\n") == 1 and text.endswith("\n")
