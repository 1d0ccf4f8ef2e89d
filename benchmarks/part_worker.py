"""Measures parts of the benchmarks of whatever commit it runs in, as the comparison with another one asks.

Its text runs in that commit's checkout with that commit's Python. It needs nothing of a commit but
`benchmarks.__main__.PARTS`, `benchmarks.scale.QUICK`, `benchmarks.site.built` and
`benchmarks.quiet.GIVE_UP_SECONDS`: these keep their names.
Its arguments are a descriptor to write to and the scale as JSON. It writes lines of JSON: the names of its
parts, then for each part that standard input names its rows and notes, or the error.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import sys
import traceback
from typing import Any


def main(descriptor: int, wanted: dict[str, Any]) -> None:
    """Measure what is asked for until the input ends."""
    from benchmarks import quiet, scale
    from benchmarks.__main__ import PARTS
    from benchmarks.site import built

    # What was started is ended on the way out, so the way out must be taken.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # On a machine that is never quiet a part would wait for most of its time.
    quiet.GIVE_UP_SECONDS = 3.0
    known = {field.name for field in dataclasses.fields(scale.QUICK)}
    size = dataclasses.replace(scale.QUICK, **{name: it for name, it in wanted.items() if name in known})
    with os.fdopen(descriptor, "w", buffering=1) as output, built() as site:
        print(json.dumps({"parts": list(PARTS)}), file=output)
        for line in sys.stdin:
            print(json.dumps(_measured(PARTS[line.strip()], site, size)), file=output)


def _measured(measure: Any, site: Any, size: Any) -> dict[str, Any]:
    try:
        rows, notes = measure(site, size)
    except Exception:  # noqa: BLE001 - the other parts can be measured all the same
        return {"error": traceback.format_exc()}
    return {"rows": [(row.measured, row.ours) for row in rows], "notes": notes}


if __name__ == "__main__":
    main(int(sys.argv[1]), json.loads(sys.argv[2]))
