"""`make fuzz`: random inputs for a given time; exit status 1 where one is slow, large or ends in an error."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.infrastructure.environment import airflow_variables, sqlite_url

if __name__ == "__main__":
    import os

    with tempfile.TemporaryDirectory(prefix="fuzz-") as home:
        # Airflow reads its settings when it is imported: nothing of a person's own Airflow counts here.
        for name in [name for name in os.environ if name.startswith("AIRFLOW")]:
            del os.environ[name]
        os.environ.update(airflow_variables(Path(home), sqlite_url(Path(home) / "airflow.db")))

        from tests.fuzz.campaign import main
        from tests.fuzz.kinds import KINDS

        status = main(KINDS)
    sys.exit(status)
