"""Whether the tree is slower than another commit: both measured in turn, part by part, round by round."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from benchmarks.checkouts import FOLDER, THIS, Checkout, checked_out, environment
from benchmarks.comparison import Key, compared, figures, renamed, table, unmatched
from benchmarks.scale import AGAINST
from dev.services import end

WORKER = Path(__file__).with_name("part_worker.py")
STOP_SECONDS = 60


class WorkerEnded(Exception):
    """A commit's benchmarks ended by themselves."""


@dataclass(frozen=True)
class Worker:
    """A commit's benchmarks in a process of their own, whose site is up."""

    process: subprocess.Popen[bytes]
    output: IO[str]
    log: Path

    def response(self) -> dict[str, Any]:
        """What it writes next.

        :raises WorkerEnded: it writes no more
        """
        line = self.output.readline()
        if not line:
            status, end_of_log = self.process.wait(), self.log.read_text()[-4000:]
            raise WorkerEnded(f"The benchmarks of {self.log.stem} ended with {status}: {end_of_log}")
        response: dict[str, Any] = json.loads(line)
        return response

    def measure(self, part: str) -> dict[str, Any]:
        """Rows and notes of a part, or its error."""
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended, which its missing response tells
            self.process.stdin.write(f"{part}\n".encode())
            self.process.stdin.flush()
        return self.response()


@dataclass
class Side:
    """A commit and what was measured of it so far."""

    checkout: Checkout
    values: dict[Key, list[float]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def take(self, worker: Worker, part: str) -> None:
        """Measure a part once more."""
        _say(f"{part}: {self.checkout.name}")
        measured = worker.measure(part)
        if "error" in measured:
            _say(measured["error"])
            self.failures.append(f"Failed in {self.checkout.name}: {part}")
            return
        for label, cell in measured["rows"]:
            _say(f"    {label}: {cell}")
            for key, value in figures(label, cell):
                self.values.setdefault(key, []).append(value)
        for note in measured["notes"]:
            if "**not equal**" in note:
                _say(f"    {note}")


def run(commit: str, *, only: str, rounds: int, keep: bool) -> int:
    """Compare the tree with a commit; returns 1 where a figure is worse or could not be measured, else 0."""
    with checked_out(commit, keep=keep) as checkout:
        return compare(checkout, THIS, only=only, rounds=rounds, logs=FOLDER)


def compare(before: Checkout, after: Checkout, *, only: str, rounds: int, logs: Path) -> int:
    """Measure and print; the status is that of :func:`run`."""
    sides = (Side(before), Side(after))
    ended = []
    try:
        for number in range(rounds):
            _say(f"round {number + 1} of {rounds}")
            _measure(sides, only=only, is_reversed=number % 2 == 1, logs=logs)
    except WorkerEnded as error:
        # After most of an hour, what is there is worth a table.
        ended = [str(error).strip()]
    return _report(*sides, ended)


def _measure(sides: tuple[Side, Side], *, only: str, is_reversed: bool, logs: Path) -> None:
    """One round of each part; the side that begins changes with each round, so that drift hits both."""
    with ExitStack() as ended:
        workers = [ended.enter_context(_worker(side.checkout, logs)) for side in sides]
        # Both are building their sites by now.
        parts = [{renamed(part): part for part in worker.response()["parts"]} for worker in workers]
        turns = list(zip(sides, workers, parts, strict=True))
        for name in dict.fromkeys((*parts[1], *parts[0])):
            for side, worker, own in reversed(turns) if is_reversed else turns:
                if only in name and name in own:
                    side.take(worker, own[name])


@contextmanager
def _worker(checkout: Checkout, logs: Path) -> Iterator[Worker]:
    reading, writing = os.pipe()
    log = logs / f"{checkout.name}.log"
    arguments = (str(writing), json.dumps(dataclasses.asdict(AGAINST)))
    with log.open("wb") as file, os.fdopen(reading) as output:
        process = subprocess.Popen(
            [str(checkout.python), "-c", WORKER.read_text(), *arguments],
            cwd=checkout.folder,
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=file,
            stderr=file,
            pass_fds=(writing,),
            bufsize=0,
            start_new_session=True,
        )
        os.close(writing)
        try:
            yield Worker(process, output, log)
        finally:
            end(process, seconds=STOP_SECONDS)
            assert process.stdin is not None
            process.stdin.close()


def _report(before: Side, after: Side, ended: Sequence[str]) -> int:
    names = (before.checkout.name, after.checkout.name)
    comparisons = compared(before.values, after.values)
    print(table(comparisons, before=names[0], after=names[1]))
    failures = list(dict.fromkeys((*before.failures, *after.failures, *ended)))
    remarks = [*unmatched(before.values, after.values, names=names), *failures]
    slower = [str(comparison.key) for comparison in comparisons if comparison.verdict == "slower"]
    is_whole = bool(comparisons) and not failures
    verdict = [f"No row slower than {names[0]}." if is_whole else "Not everything was measured."]
    print("\n".join(["", *remarks, *([f"Slower: {name}" for name in slower] or verdict)]))
    return 0 if is_whole and not slower else 1


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)
