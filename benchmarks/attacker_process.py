"""Starts and ends the process of A: :mod:`benchmarks.attacker`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[1]
END_SECONDS = 30


@contextmanager
def attacking(
    attacks: Sequence[str], stage: Mapping[str, Any], log: Path
) -> Iterator[tuple[dict[str, str], Callable[[], str]]]:
    """Attack during a block: what was refused when it was saved, and a function that ends it and reports."""
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.attacker"],
            cwd=CHECKOUT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=file,
            text=True,
        )
    assert process.stdin is not None
    assert process.stdout is not None
    reading, writing = process.stdout, process.stdin
    try:
        print(json.dumps({"attacks": attacks, "stage": stage}), file=writing, flush=True)
        line = reading.readline()
        if not line:
            raise RuntimeError(f"{', '.join(attacks)} could not be prepared: {log.read_text()}")

        def ended() -> str:
            writing.close()
            return _in_words(json.loads(reading.readline() or '{"statuses": {}, "errors": ["it died"]}'))

        yield json.loads(line)["refused"], ended
    finally:
        writing.close()
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        reading.close()


def _in_words(report: dict[str, Any]) -> str:
    """What an attacker says of itself."""
    got = [f"{number:,} × {status}" for status, number in report["statuses"].items()]
    return ", ".join([*got, *(f"**{error}**" for error in report["errors"])]) or "no response"
