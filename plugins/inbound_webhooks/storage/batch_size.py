"""How many rows one transaction changes where there are many, so that no other one waits for long."""

from __future__ import annotations

MIN_ROWS = 10
LONGEST_SECONDS = 0.1
"""A transaction that takes longer is followed by one of half the size: rows may have bodies of megabytes, and
SQLite has a single writer."""


class BatchSize:
    """The size of the next batch; ``most`` where rows are small."""

    def __init__(self, most: int) -> None:
        self.rows = most
        self._most = most

    def adapt(self, seconds: float) -> None:
        """Note how long a full batch took."""
        if seconds > LONGEST_SECONDS:
            self.rows = max(self.rows // 2, min(MIN_ROWS, self._most))
        else:
            self.rows = min(self.rows * 2, self._most)
