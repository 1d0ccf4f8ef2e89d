"""Truncates texts for display and storage."""

from __future__ import annotations


def truncate(text: str, max_chars: int) -> str:
    """The text, or its first ``max_chars`` characters and an ellipsis."""
    return text if len(text) <= max_chars else f"{text[:max_chars]}…"
