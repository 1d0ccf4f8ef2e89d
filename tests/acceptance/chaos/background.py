"""Work in a thread of its own beside a stream."""

from __future__ import annotations

import threading
from typing import Any

STOP_SECONDS = 150


class Background:
    """Works in a thread of its own for the time of a block; what has failed is raised at its end."""

    def __init__(self) -> None:
        self._stopping = threading.Event()
        self._problem: Exception | None = None
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Any:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(STOP_SECONDS)
        if self._problem is not None:
            name = type(self).__name__
            raise RuntimeError(f"{name} has failed, so the stream proves nothing") from self._problem

    def work(self) -> None:
        """Work until :meth:`is_stopped_within` says that the block has ended."""
        raise NotImplementedError

    @property
    def has_failed(self) -> bool:
        """Whether the work has ended with an error."""
        return self._problem is not None

    def is_stopped_within(self, seconds: float) -> bool:
        """Wait; True as soon as the block has ended."""
        return self._stopping.wait(seconds)

    def _run(self) -> None:
        try:
            self.work()
        except Exception as error:  # noqa: BLE001 - raised in the thread that waits for this one
            self._problem = error
