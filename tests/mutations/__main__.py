"""Seeds faults in the product, one at a time, and checks that the tests find them.

    python -m tests.mutations                          each fault with the tests that are known to find it
    python -m tests.mutations --only "grace"           the faults whose name holds this text
    python -m tests.mutations --all                    each fault with the whole test suite
    python -m tests.mutations -- --database sqlite     further arguments go to pytest
    python -m tests.mutations --list                   the names of all faults

`faults.toml` lists the faults. Each one is a change of a line or a few in one file of the product, with the
promise that it breaks and the tests that find it (`found_by`). A fault is made in a temporary copy of the
checkout, never in the checkout itself, and the tests run against the copy.

For each fault one line says what came of it:

- `found`: at least one test failed; its id follows
- `NOT FOUND`: all tests passed, so nothing checks the promise any more
- `cannot be applied`: the snippet is not in the file exactly once; move it along with the code
- `error`: pytest did not end in time, or ran no tests, for instance because a test id no longer exists

Before that the tests run once without any fault, since a test that fails anyway finds nothing;
`--no-baseline` skips that. The exit status is 0 where every fault was found, 1 where one was not, 2 where one
could not be checked.

When code or tests move or get another name, `faults.toml` has to follow: it is plain text, so the script that
moves them can rewrite it. `test_faults.py` checks, without running a test, that every snippet is in its file
exactly once and that every test id exists.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from tests.mutations.faults import CannotApply, Fault, choose, load_faults
from tests.mutations.mutated_checkout import TESTS_FAILED, TIMED_OUT, TestRun, copied_checkout, run_pytest

FOUND, NOT_FOUND, CANNOT_BE_APPLIED, ERROR = "found", "NOT FOUND", "cannot be applied", "error"
STATUSES = {FOUND: 0, NOT_FOUND: 1, CANNOT_BE_APPLIED: 2, ERROR: 2}

TIMEOUT_SECONDS = 900.0
"""For the tests that are known to find one fault."""

TIMEOUT_OF_ALL_SECONDS = 7200.0
"""For the whole test suite."""

SHOWN_CHARS = 3_000


@dataclass(frozen=True)
class Verdict:
    """What came of one fault; ``detail`` names the test that failed, or says what went wrong."""

    kind: str
    detail: str
    output: str = ""


def check(fault: Fault, tests: Sequence[str], *, timeout_seconds: float = TIMEOUT_SECONDS) -> Verdict:
    """Make a fault in a copy of the checkout and run tests there until the first one fails."""
    with copied_checkout() as copy:
        try:
            fault.apply_in(copy)
        except CannotApply as error:
            return Verdict(CANNOT_BE_APPLIED, str(error))
        return judge(run_pytest(copy, ["-x", *tests], timeout_seconds=timeout_seconds))


def judge(run: TestRun) -> Verdict:
    """What the end of a test run says about the fault."""
    if run.status == TIMED_OUT:
        return Verdict(ERROR, "the tests did not end in time; see --timeout-seconds", run.output)
    if run.status == TESTS_FAILED:
        return Verdict(FOUND, ", ".join(run.failed))
    if run.status == 0:
        return Verdict(NOT_FOUND, "every test passed", run.output)
    return Verdict(ERROR, f"pytest ended with {run.status}", run.output)


def passes_without_a_fault(tests: Sequence[str], *, timeout_seconds: float) -> bool:
    """Run the tests on an unchanged copy; says which ones fail."""
    with copied_checkout() as copy:
        run = run_pytest(copy, tests, timeout_seconds=timeout_seconds)
    if run.status != 0:
        print(f"without a fault pytest ended with {run.status}:\n{run.output[-SHOWN_CHARS:]}")
    return run.status == 0


def main(arguments: Sequence[str]) -> int:
    """Returns the exit status."""
    args = _parse(arguments)
    faults = choose(load_faults(), args.only)
    if not faults:
        print("No fault has such a name.", file=sys.stderr)
        return 2
    if args.list:
        print(*(fault.name for fault in faults), sep="\n")
        return 0
    known = [] if args.all else sorted({test for fault in faults for test in fault.found_by})
    if not args.no_baseline:
        timeout_seconds = args.timeout_seconds * (1 if args.all else len(faults))
        if not passes_without_a_fault([*known, *args.pytest], timeout_seconds=timeout_seconds):
            return 2
    report = partial(_report, args=args)
    if args.jobs == 1:
        # In this thread Ctrl-C stops the tests at hand at once.
        return max(map(report, faults))
    with ThreadPoolExecutor(args.jobs) as pool:
        return max(pool.map(report, faults))


def _report(fault: Fault, *, args: argparse.Namespace) -> int:
    started = time.monotonic()
    tests = [*([] if args.all else fault.found_by), *args.pytest]
    verdict = check(fault, tests, timeout_seconds=args.timeout_seconds)
    seconds = time.monotonic() - started
    print(f"{verdict.kind}: {fault.name} ({seconds:.0f} s): {verdict.detail}", flush=True)
    if verdict.output:
        print(verdict.output[-SHOWN_CHARS:], flush=True)
    return STATUSES[verdict.kind]


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    end_of_own = list(arguments).index("--") if "--" in arguments else len(arguments)
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutations", description="Seed faults and check that the tests find them."
    )
    parser.add_argument("--only", action="append", default=[], metavar="TEXT", help="faults with this text")
    parser.add_argument("--all", action="store_true", help="run the whole test suite for each fault")
    parser.add_argument("--list", action="store_true", help="print the names of the faults, and run nothing")
    parser.add_argument("--no-baseline", action="store_true", help="do not run the tests without a fault")
    parser.add_argument("--jobs", type=int, default=1, help="faults that are checked at the same time")
    parser.add_argument("--timeout-seconds", type=float, help="for the tests of one fault")
    args = parser.parse_args(arguments[:end_of_own])
    args.timeout_seconds = args.timeout_seconds or (TIMEOUT_OF_ALL_SECONDS if args.all else TIMEOUT_SECONDS)
    args.pytest = list(arguments[end_of_own + 1 :])
    return args


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
