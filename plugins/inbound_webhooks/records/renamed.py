"""Renamed fields and options: an old name fails with an error that gives the new one."""

from __future__ import annotations

RENAMED = {"proofs": "verification", "--proof": "--verify"}
"""Old name of a field or option -> new name."""


def renamed(name: str) -> str | None:
    """The error message for an old name, None for any other name."""
    return f"{name} is now `{RENAMED[name]}`" if name in RENAMED else None
