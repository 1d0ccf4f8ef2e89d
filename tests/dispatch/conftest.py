"""A time that passes when a test says so."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

AT = datetime(2030, 1, 1, 12, tzinfo=timezone.utc)


class Clock:
    """Called for the time; ``at`` is it."""

    def __init__(self) -> None:
        self.at = AT

    def __call__(self) -> datetime:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()
