"""What senders send, from tests/payloads."""

from __future__ import annotations

from tests.infrastructure.environment import CHECKOUT

FOLDER = CHECKOUT / "tests" / "payloads"


def body_of(case: str) -> bytes:
    """The bytes of a case such as ``github/push__new_branch``."""
    return (FOLDER / f"{case}.body").read_bytes()


def headers_of(case: str) -> dict[str, str]:
    lines = (FOLDER / f"{case}.headers").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
