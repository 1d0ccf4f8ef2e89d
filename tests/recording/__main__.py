"""``python -m tests.recording catalogue`` writes what is sent, ``record`` what came of it."""

from __future__ import annotations

import json
import sys

from tests.recording.scenario import DAGS, SCENARIOS, load, save


def write_catalogue() -> None:
    from tests.recording.catalogue import contract, expressions, hostile, senders

    made = [
        scenario for source in (contract, expressions, senders, hostile) for scenario in source.scenarios()
    ]
    # Some bytes differ each time, such as the time inside gzip; what is recorded stays as it was sent.
    kept = {scenario.name: scenario for scenario in load()} if SCENARIOS.exists() else {}
    save([kept.get(scenario.name, scenario) for scenario in made])
    broken = contract.broken_dags()
    params = expressions.dags() | {dag_id: {} for dag_id in broken}
    DAGS.write_text(json.dumps({"params": params, "broken": broken}, indent=1) + "\n")
    print(f"{len(made)} scenarios with {sum(scenario.requests for scenario in made)} requests")


def main() -> None:
    if sys.argv[1:] == ["catalogue"]:
        write_catalogue()
    elif sys.argv[1:] in (["record"], ["record", "--once"]):
        from tests.recording.recorder import record

        record(is_compared="--once" not in sys.argv)
    else:
        sys.exit(f"{__doc__}")


if __name__ == "__main__":
    main()
