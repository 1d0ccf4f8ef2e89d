"""Names that changed before the first release: the old one fails with an error that names the new one."""

from __future__ import annotations

RENAMED = {"proofs": "verification", "--proof": "--verify"}
"""Old field or option -> new one."""


def renamed(name: str) -> str | None:
    """The error for an old name, None for any other."""
    return f"{name} is now `{RENAMED[name]}`" if name in RENAMED else None
