"""Commands as programs call them: real processes, where Airflow and code of other authors log and print."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from inbound_webhooks.cli.parser import COMMANDS
from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.environment import process_environment
from tests.infrastructure.webhooks_builder import now, store_delivery, store_webhook

SECONDS = 60
PROGRAMS = {
    "module": (sys.executable, "-m", "inbound_webhooks"),
    "airflow": (str(Path(sys.executable).parent / "airflow"), "webhooks"),
}
NAME = "crème → ☃"
"""A webhook's name that neither ASCII nor Latin-1 has."""

NOISE = """
import atexit, logging, os, subprocess, warnings
print("noise")
os.write(1, b"noise of a library\\n")
subprocess.run(["echo", "noise of a child"])
warnings.warn("noise of a warning")
logging.getLogger("other").warning("noise of a log")
atexit.register(print, "noise at exit")
"""
BEFORE_US = re.compile(r"(noise|\d{4}-\d\d-\d\dT\S+ \[).*")
"""Lines that `airflow` prints before the code of a plugin runs."""

NOISY_VARIABLES = {
    "AIRFLOW__LOGGING__LOGGING_LEVEL": "DEBUG",
    # Too short to be masked, of which Airflow warns.
    "AIRFLOW__API__SECRET_KEY": "abc",
    # An option of an earlier section.
    "AIRFLOW__WEBSERVER__BASE_URL": "http://localhost:8080",
}


@dataclass(frozen=True)
class Installation:
    """An Airflow home with a database; ``folder`` has definition files and DAG files."""

    environment: dict[str, str]
    folder: Path
    delivery_id: str
    waiting_id: str

    def run(self, program: str, *arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        ids = {"delivery": self.delivery_id, "waiting": self.waiting_id}
        filled = [word.format(folder=self.folder, name=NAME, **ids) for word in arguments]
        environment = {**self.environment, **more.pop("env", {})}
        return subprocess.run(
            [*PROGRAMS[program], *filled],
            env=environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            timeout=SECONDS,
            check=False,
            encoding=more.pop("encoding", "utf-8"),
            **({"capture_output": True} | more),
        )


@pytest.fixture
def quiet(sqlite_database, tmp_path) -> Installation:
    """A usual installation, with a webhook, one of its deliveries, and a dispatcher."""
    from inbound_webhooks.dispatch.heartbeat import host
    from inbound_webhooks.storage.database import transaction
    from inbound_webhooks.storage.dispatchers import DispatcherRow, note_dispatcher

    store_dag("orders")
    hook = store_webhook(NAME)
    stored = store_delivery(hook, state="undeliverable", next_attempt_at=None)
    waiting = store_delivery(hook, attempts=1, next_attempt_at=now() + timedelta(hours=1))
    with transaction() as connection:
        row = DispatcherRow(id="d" * 32, host=host(), pid=1, started_at=now())
        note_dispatcher(connection, row, now())
    (tmp_path / "webhooks.yaml").write_text("webhooks:\n  - name: other\n    dag_id: orders\n")
    dags = tmp_path / "dags"
    dags.mkdir()
    (dags / "orders.py").write_text(
        "from airflow.sdk import DAG\nprint('noise of a DAG')\nwith DAG('orders'):\n    pass\n"
    )
    environment = process_environment(
        tmp_path / "home", sqlite_database.url, PYTHONUNBUFFERED="", PYTHONIOENCODING="utf-8"
    )
    return Installation(environment, tmp_path, stored, waiting)


@pytest.fixture
def noisy(quiet) -> Installation:
    """The same with DEBUG logging, an unusable log folder, warnings, and code that prints."""
    config = quiet.folder / "home" / "config"
    config.mkdir(parents=True)
    (config / "airflow_local_settings.py").write_text(NOISE)
    unusable = {"AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(quiet.folder / "webhooks.yaml" / "logs")}
    quiet.environment.update(NOISY_VARIABLES | unusable)
    return quiet


def is_json(out: str) -> None:
    assert out.isascii()
    json.loads(out)


def is_yaml(out: str) -> None:
    assert out.isascii()
    assert isinstance(yaml.safe_load(out), list | dict)


def is_file(out: str) -> None:
    assert [entry["name"] for entry in yaml.safe_load(out)["webhooks"]] == [NAME]


def text(pattern: str) -> Callable[[str], None]:
    def matches(out: str) -> None:
        assert re.fullmatch(f"{pattern}\n", out), out

    return matches


URL = text(r"http\S+/webhook/\S{10}/[0-9a-f]{64}")
CREATE = ("create", "new", "--dag-id", "orders")
FILES = ("{folder}/webhooks.yaml", "--dags-folder", "{folder}/dags")
CALLS: dict[str, tuple[tuple[str, ...], Callable[[str], None]]] = {
    "create": ((*CREATE, "-o", "json"), is_json),
    "list": (("list", "-o", "json"), is_json),
    "list as YAML": (("list", "-o", "yaml"), is_yaml),
    "list as a table": (("list",), text(rf"[\s\S]*{NAME}[\s\S]*")),
    "list as plain text": (("list", "-o", "plain"), text(rf"id +name[^\n]*\n\S{{10}} +{NAME}[^\n]*")),
    "show": (("show", "{name}", "-o", "json"), is_json),
    "url": (("url", "{name}"), URL),
    "enable": (("enable", "{name}"), text(f"Enabled {NAME}.")),
    "disable": (("disable", "{name}"), text(f"Disabled {NAME}.")),
    "hold": (("hold", "{name}"), text(f"{NAME} is on hold.")),
    "release": (("release", "{name}"), text(f"Released {NAME}.")),
    "delete": (
        ("delete", "{name}", "--yes"),
        text(f"Deleted {NAME}. Deliveries cancelled before they started: 1."),
    ),
    "rotate": (("rotate", "{name}"), URL),
    "presets": (("presets", "-o", "json"), is_json),
    "presets, one of them": (("presets", "github", "-o", "yaml"), is_yaml),
    "deliveries": (("deliveries", "-o", "json"), is_json),
    "delivery": (("delivery", "{delivery}", "-o", "json"), is_json),
    "replay": (("replay", "{delivery}", "-o", "json"), is_json),
    "retry": (("retry", "{waiting}"), text("Trying the delivery again now.")),
    "replays": (("replays", "-o", "json"), is_json),
    "sample": (("sample", "{name}", "-o", "json"), is_json),
    "sample for a shell": (("sample", "{name}", "--curl"), text(r"[\s\S]*curl [\s\S]*")),
    "stats": (("stats", "{name}", "-o", "json"), is_json),
    "waits": (("waits", "-o", "json"), is_json),
    "end-grace": (("end-grace", "{name}"), text(r"[^\n]+")),
    "try": (("try", "{name}", "--data", "x", "-o", "json"), is_json),
    "try, as a back-test": (("try", "{name}", "--against-last", "5", "-o", "json"), is_json),
    "import": (("import", "{folder}/webhooks.yaml", "-o", "json"), is_json),
    "import for people": (("import", "{folder}/webhooks.yaml"), text(r"\+ other[\s\S]*1 new\.")),
    "check": (("check", *FILES, "-o", "json"), is_json),
    "check for people": (("check", *FILES), text("Checked 1 webhook against 1 DAG: no errors.")),
    "check what is stored": (("check", "-o", "json"), is_json),
    "export": (("export",), is_file),
    "rotate-fernet-key": (("rotate-fernet-key",), text(r"Re-encrypted: .*")),
    "dispatcher": (("dispatcher", "--check"), text("A dispatcher on .* was active at .*")),
}
SHORT = {("module", "list"), ("airflow", "url"), ("module", "check")}
"""Each process takes seconds; these are the calls that `make test` makes."""

CASES = [
    pytest.param(program, call, marks=() if (program, call) in SHORT else pytest.mark.long)
    for program in PROGRAMS
    for call in CALLS
]


def test_every_command_that_ends_has_a_call():
    called = {arguments[0] for arguments, _ in CALLS.values()}
    assert {command.name for command in COMMANDS} - called == {"gateway"}


@pytest.mark.parametrize(("program", "call"), CASES)
def test_standard_output_has_what_the_command_prints_and_nothing_else(noisy, program, call):
    arguments, check = CALLS[call]
    done = noisy.run(program, *arguments)
    assert done.returncode == 0, done.stderr
    out = done.stdout
    if program == "airflow":
        lines = out.splitlines(keepends=True)
        first = next(place for place, line in enumerate(lines) if not BEFORE_US.fullmatch(line.rstrip("\n")))
        assert first > 0  # or the environment is not noisy, and this test says nothing
        out = "".join(lines[first:])
    check(out)
    assert "noise at exit" in done.stderr
    assert "[debug" in done.stderr


@pytest.mark.parametrize(
    "call", [pytest.param(name, marks=() if name == "list" else pytest.mark.long) for name in ("list", "url")]
)
def test_airflow_itself_prints_nothing_else_in_a_usual_installation(quiet, call):
    arguments, check = CALLS[call]
    check(quiet.run("airflow", *arguments).stdout)


@pytest.mark.long
def test_airflow_prints_nothing_else_at_the_level_that_the_page_names(noisy):
    (noisy.folder / "home" / "config" / "airflow_local_settings.py").unlink()
    done = noisy.run("airflow", "list", "-o", "json", env={"AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR"})
    is_json(done.stdout)


TERMINALS = {
    "Latin-1": {"PYTHONIOENCODING": "latin-1"},
    "ASCII": {"PYTHONIOENCODING": "ascii"},
}


@pytest.mark.parametrize("terminal", ["Latin-1", pytest.param("ASCII", marks=pytest.mark.long)])
@pytest.mark.parametrize(
    ("output", "expected"),
    [
        pytest.param("table", "\\u2192", id="table"),
        pytest.param("json", "cr\\u00e8me \\u2192 \\u2603", marks=pytest.mark.long, id="json"),
        pytest.param("yaml", "cr\\xE8me \\u2192 \\u2603", marks=pytest.mark.long, id="yaml"),
        pytest.param("plain", "\\u2192", marks=pytest.mark.long, id="plain"),
    ],
)
def test_a_name_that_the_terminal_lacks_is_no_error(quiet, terminal, output, expected):
    done = quiet.run("module", "list", "-o", output, env=TERMINALS[terminal], encoding="latin-1")
    assert done.returncode == 0, done.stderr
    assert expected in done.stdout


@pytest.mark.long
@pytest.mark.parametrize("locale", ["C", pytest.param("POSIX", marks=pytest.mark.long)])
@pytest.mark.parametrize("output", [pytest.param("json", marks=pytest.mark.long), "table"])
def test_a_locale_without_an_encoding_is_no_error(quiet, locale, output):
    done = quiet.run("module", "list", "-o", output, env={"LC_ALL": locale, "PYTHONIOENCODING": ""})
    assert (done.returncode, "orders" in done.stdout) == (0, True), done.stderr


@pytest.mark.long
def test_an_export_is_a_file_in_utf_8_in_every_terminal(quiet):
    is_file(quiet.run("module", "export", env=TERMINALS["Latin-1"]).stdout)


@pytest.mark.long
def test_the_help_of_every_command_can_be_shown_in_every_terminal(quiet):
    for command in COMMANDS:
        done = quiet.run("module", command.name, "--help", env=TERMINALS["ASCII"])
        assert (done.returncode, done.stdout.startswith("usage:")) == (0, True), done.stderr


@pytest.mark.long
def test_a_reader_that_is_gone_ends_the_command_quietly(quiet):
    for output in ("json", "table"):
        call = [*PROGRAMS["module"], "presets", "-o", output]
        with subprocess.Popen(
            call, env=quiet.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            process.stdout.close()
            assert (process.stderr.read(), process.wait(SECONDS)) == (b"", 141)


@pytest.mark.long
def test_a_full_disk_is_one_line(quiet):
    with open("/dev/full", "w") as full:
        done = quiet.run(
            "module", "presets", "-o", "json", capture_output=False, stdout=full, stderr=subprocess.PIPE
        )
    assert (done.returncode, done.stderr) == (
        1,
        "The output could not be written: No space left on device.\n",
    )


@pytest.mark.long
def test_a_dispatcher_logs_to_standard_output(quiet):
    """As Airflow's own services do: no program reads a document there."""
    with subprocess.Popen(
        [*PROGRAMS["module"], "dispatcher"],
        env=quiet.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert "dispatcher_started" in next(line for line in process.stdout if "dispatcher_" in line)
        finally:
            process.terminate()
