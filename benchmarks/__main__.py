"""`python -m benchmarks`: measure everything once and write the figures into benchmarks/README.md."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable
from functools import partial

from benchmarks import (
    against,
    asset_events,
    batches,
    callbacks,
    checkouts,
    commands,
    dispatchers,
    dispatching,
    door_times,
    event_waits,
    gateway,
    isolation,
    pages,
    posts,
    report,
    retention,
    routes,
    scheduler_loop,
    signed_posts,
    until_result,
    until_run,
)
from benchmarks.figures import Row
from benchmarks.scale import FULL, QUICK, SHORT, Scale
from benchmarks.site import Site, built


def main() -> int:
    """Returns 1 where a 2xx has no row, or a row is slower; a missed goal is a figure like any other."""
    parser = _parser()
    arguments = parser.parse_args()
    # What was started is ended on the way out, so the way out must be taken.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if arguments.against is not None:
        try:
            commit = checkouts.commit_of(arguments.against)
        except checkouts.UnknownRevision:
            parser.error(f"Git knows no commit {arguments.against}")
        return against.run(commit, only=arguments.only, rounds=arguments.rounds, keep=arguments.keep)
    with built() as site:
        scale = QUICK if arguments.quick else SHORT if arguments.short else FULL
        rows, notes = _measure(site, scale, arguments.only)
        postgres = site.server_version()
    command = " ".join(["python -m benchmarks", *sys.argv[1:]])
    figures = report.text(rows, notes, postgres=postgres, command=command)
    print(figures)
    if not (arguments.quick or arguments.only):
        report.write(figures)
    return 1 if any("**not equal**" in note for note in notes) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    extent = parser.add_mutually_exclusive_group()
    extent.add_argument("--short", action="store_true", help="half of the rounds, a fifth of the deliveries")
    extent.add_argument("--quick", action="store_true", help="one short round of each; writes no README")
    extent.add_argument(
        "--against",
        metavar="REV",
        help="compare with this commit; fails where a row is slower, writes no README",
    )
    parser.add_argument(
        "--only", default="", metavar="WORD", help="parts with this in their name; writes no README"
    )
    parser.add_argument(
        "--rounds", type=_rounds, default=5, metavar="N", help="with --against: rounds of each part (5)"
    )
    parser.add_argument(
        "--keep", action="store_true", help="with --against: leave the commit's checkout in .bench/"
    )
    return parser


def _rounds(text: str) -> int:
    """Of fewer the ranges say nothing."""
    if int(text) < 3:
        raise argparse.ArgumentTypeError("at least 3 rounds are needed")
    return int(text)


Measured = tuple[list[Row], list[str]]

PARTS: dict[str, Callable[[Site, Scale], Measured]] = {
    "POSTs, dispatcher off": partial(posts.measure, dispatcher=False),
    "POSTs, dispatcher on": partial(posts.measure, dispatcher=True),
    "dispatching": dispatching.measure,
    "one dispatcher and two": dispatchers.measure,
    "asset events": asset_events.measure,
    "from the 202 to the run": lambda site, scale: (until_run.measure(site, scale), []),
    "from an event to the task that waits": lambda site, scale: (event_waits.measure(site, scale), []),
    "from a callback to the next line": lambda site, scale: (callbacks.measure(site, scale), []),
    "from the result to the response": lambda site, scale: (until_result.measure(site, scale), []),
    "GitHub's pushes": signed_posts.measure,
    "what the door turns away": lambda site, scale: (door_times.measure(site, scale), []),
    "gateway": gateway.measure,
    "gateway, size and memory": gateway.measure_size,
    "routes": routes.measure,
    "batches": batches.measure,
    "the scheduler's loop": scheduler_loop.measure,
    "isolation": isolation.measure,
    "retention": retention.measure,
    "pages": lambda site, scale: (pages.measure(site, scale), []),
    "commands": lambda site, scale: (commands.measure(site, scale), []),
    "client": lambda site, scale: ([posts.client_limit(site.webhook(0), scale)], []),
}


def _measure(site: Site, scale: Scale, only: str) -> Measured:
    rows: list[Row] = []
    notes: list[str] = []
    for name, measure in PARTS.items():
        if only in name:
            _say(name)
            more_rows, more_notes = measure(site, scale)
            # A run takes half an hour: what is there can be read meanwhile, and outlives a later failure.
            for line in (*map(report.line, more_rows), *more_notes):
                print(line, file=sys.stderr, flush=True)
            rows += more_rows
            notes += more_notes
    return rows, notes


def _say(what: str) -> None:
    print(f"==> {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
