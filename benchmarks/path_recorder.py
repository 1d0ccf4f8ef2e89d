"""Runs `airflow …` in this process and records each call of a package's functions, in all of its threads.

`python -m benchmarks.path_recorder FILE PACKAGE webhooks gateway …`; each SIGUSR1 writes what was recorded
since the last one into FILE, as JSON: ``functions`` are ``[module, name]``, ``events`` are
``[thread, kind, index of the function]``.
"""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import json
import signal
import sys
import threading
from dataclasses import dataclass, field
from opcode import opmap
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

CALL, RESUME, YIELD, RETURN = "call", "resume", "yield", "return"
"""A coroutine or generator is called once, then yields and is resumed as often as it waits."""

_GENERATOR_FLAGS = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR


@dataclass
class Recorder:
    """A profile function for `sys.setprofile`; ``folder`` is that of the package whose functions count."""

    folder: Path
    functions: list[tuple[str, str]] = field(default_factory=list)
    events: list[tuple[int, str, int]] = field(default_factory=list)
    _indexes: dict[CodeType, int | None] = field(default_factory=dict)

    def __call__(self, frame: FrameType, event: str, argument: object) -> None:
        """Record an event of one of the package's functions."""
        if event not in ("call", "return"):
            return
        code = frame.f_code
        if code not in self._indexes:
            self._indexes[code] = self._index(frame)
        if (index := self._indexes[code]) is not None:
            self.events.append((threading.get_ident(), _kind(frame, event), index))

    def take(self) -> dict[str, Any]:
        """All events since the last call of this method."""
        taken, self.events = self.events, []
        return {"functions": self.functions, "events": taken}

    def _index(self, frame: FrameType) -> int | None:
        """The place of a function's name; None for a function that does not count."""
        code = frame.f_code
        path = Path(code.co_filename)
        # What dataclasses generate has no file. A server's connection is not part of the application: uvicorn
        # has its own at the api-server.
        is_connection = isinstance(frame.f_locals.get("self"), asyncio.BaseProtocol)
        if not path.is_relative_to(self.folder) or is_connection:
            return None
        module = path.relative_to(self.folder.parent).with_suffix("")
        self.functions.append((".".join(module.parts), code.co_qualname))
        return len(self.functions) - 1


def _kind(frame: FrameType, event: str) -> str:
    """What an event is; a generator's instruction tells whether it begins, goes on, waits or ends."""
    code = frame.f_code
    if not code.co_flags & _GENERATOR_FLAGS:
        return CALL if event == "call" else RETURN
    instruction, argument = code.co_code[frame.f_lasti : frame.f_lasti + 2]
    if event == "call":
        return RESUME if instruction == opmap["RESUME"] and argument else CALL
    return YIELD if instruction == opmap["YIELD_VALUE"] else RETURN


def main(output: str, package: str, *command: str) -> None:
    """Record the threads from their start on, this thread once the first signal comes."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(package)
    recorder = Recorder(Path(spec.submodule_search_locations[0]).resolve())

    def write(number: int, frame: FrameType | None) -> None:
        unfinished = Path(f"{output}.unfinished")
        unfinished.write_text(json.dumps(recorder.take()))
        unfinished.replace(output)
        # Not earlier: the imports of Airflow would take several times as long.
        sys.setprofile(recorder)

    signal.signal(signal.SIGUSR1, write)
    threading.setprofile(recorder)
    from airflow.__main__ import main as airflow

    sys.argv = ["airflow", *command]
    airflow()


if __name__ == "__main__":
    main(*sys.argv[1:])
