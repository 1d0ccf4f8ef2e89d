"""`python -m benchmarks`: measure everything once and write the figures into benchmarks/README.md."""

from __future__ import annotations

import argparse
import signal
import sys

from benchmarks import dispatching, door_times, pages, posts, report, retention, signed_posts, until_run
from benchmarks.figures import Row
from benchmarks.scale import FULL, QUICK, SHORT, Scale
from benchmarks.site import Site, built


def main() -> int:
    """Returns 1 where an answer has no row, else 0: figures that miss a goal are figures all the same."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--short", action="store_true", help="half of the rounds, a fifth of the deliveries")
    parser.add_argument("--quick", action="store_true", help="one short round of each; writes no README")
    arguments = parser.parse_args()
    # What was started is ended on the way out, so the way out must be taken.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with built() as site:
        rows, notes = _measure(site, QUICK if arguments.quick else SHORT if arguments.short else FULL)
        postgres = site.server_version()
    command = " ".join(["python -m benchmarks", *sys.argv[1:]])
    figures = report.text(rows, notes, postgres=postgres, command=command)
    print(figures)
    if not arguments.quick:
        report.write(figures)
    return 1 if any("**not equal**" in note for note in notes) else 0


def _measure(site: Site, scale: Scale) -> tuple[list[Row], list[str]]:
    _say("POSTs, dispatcher off")
    rows, notes = posts.measure(site, scale, dispatcher=False)
    _say("POSTs, dispatcher on")
    with_dispatcher, more_notes = posts.measure(site, scale, dispatcher=True)
    _say("dispatching")
    dispatched, dispatch_notes = dispatching.measure(site, scale)
    _say("from the 202 to the run")
    waits = until_run.measure(site, scale)
    _say("GitHub's pushes")
    signed, signed_notes = signed_posts.measure(site, scale)
    _say("what the door turns away")
    turned_away = door_times.measure(site, scale)
    _say("retention")
    retained, retention_notes = retention.measure(site, scale)
    _say("pages")
    seen = pages.measure(site, scale)
    client = posts.client_limit(site.webhook(0), scale)
    return [*rows, *with_dispatcher, *dispatched, *waits, *signed, *turned_away, *retained, *seen, client], [
        *notes,
        *more_notes,
        *dispatch_notes,
        *signed_notes,
        *retention_notes,
    ]


def _say(what: str) -> None:
    print(f"==> {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
