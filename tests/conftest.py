"""Fixtures for all tests: databases, servers, and what keeps a test run apart from your own Airflow."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.infrastructure import interruption
from tests.infrastructure.environment import airflow_variables, sqlite_url
from tests.infrastructure.groups import GroupScheduling, in_order_of_groups
from tests.infrastructure.once import once
from tests.infrastructure.tiers import mark_long

HOME = pytest.StashKey[Path]()
IN_CI = os.environ.get("CI") == "true"
DATABASES = ("sqlite", "postgresql")
AUTH_MANAGERS = ("simple", "fab")
FIXTURES_OF_DATABASES = {"sqlite_database": "sqlite", "postgres_database": "postgresql"}

# Few examples, and always the same, unless --hypothesis-profile asks for the others.
settings.register_profile("quick", max_examples=100, deadline=None, derandomize=True)
settings.register_profile("thorough", max_examples=1_000, deadline=None)
settings.load_profile("quick")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`make matrix` chooses one of each; without a choice a test runs on all that it names."""
    parser.addoption("--database", choices=DATABASES, help="leave out what runs on another database")
    parser.addoption("--auth", choices=AUTH_MANAGERS, help="leave out what runs under another auth manager")


def pytest_configure(config: pytest.Config) -> None:
    """Airflow reads its settings when it is imported, so they are here before any test module is."""
    _keep_bytecode()
    home = Path(tempfile.mkdtemp(prefix="airflow-tests-"))
    config.stash[HOME] = home
    for name in [name for name in os.environ if name.startswith("AIRFLOW")]:
        del os.environ[name]
    os.environ.update(airflow_variables(home, sqlite_url(home / "airflow.db")))
    config.pluginmanager.register(interruption)


def _keep_bytecode() -> None:
    """Compiling Airflow is half of the start of a process; images of Python often do it each time."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Iterator[None]:
    """Marks come before `-m` looks at them, the order after pytest has made its own."""
    mark_long(items)
    yield
    left_out = _not_chosen(config, "database", DATABASES) | _not_chosen(config, "auth", AUTH_MANAGERS)
    kept, deselected = [], []
    for item in items:
        (deselected if left_out & _named_by(item) else kept).append(item)
    if deselected:
        config.hook.pytest_deselected(items=deselected)
    items[:] = in_order_of_groups(kept)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> GroupScheduling:
    return GroupScheduling(config, log)


def _not_chosen(config: pytest.Config, option: str, all_of_them: tuple[str, ...]) -> set[str]:
    chosen = config.getoption(option)
    return set(all_of_them) - {chosen} if chosen else set()


def _named_by(item: pytest.Item) -> set[str]:
    """The databases and auth managers that a test runs with, and values of its other parameters."""
    parameters = list(item.callspec.params.values()) if hasattr(item, "callspec") else []
    inside = [value for parameter in parameters if isinstance(parameter, tuple) for value in parameter]
    fixtures = getattr(item, "fixturenames", ())
    databases = {FIXTURES_OF_DATABASES[name] for name in fixtures if name in FIXTURES_OF_DATABASES}
    return databases | {value for value in (*parameters, *inside) if isinstance(value, str)}


def pytest_runtest_setup(item: pytest.Item) -> None:
    """What a whole Airflow is not needed for follows after all that it is needed for."""
    processes = sys.modules.get("tests.infrastructure.airflow_processes")
    if processes is not None and processes.SHARED and "/tests/acceptance/" not in item.path.as_posix():
        processes.SHARED.pop().pause()


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(config.stash[HOME], ignore_errors=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Iterator[None]:
    report = yield
    return _fail_when_skipped(report)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Iterator[None]:
    report = yield
    return _fail_when_skipped(report)


def _fail_when_skipped(report):  # type: ignore[no-untyped-def]
    """In CI a test that cannot run is a failure: the list of the skipped ones is never read."""
    if IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI does not allow: {report.longrepr}"
    return report


@pytest.fixture(autouse=True)
def environment_problems() -> Iterator[Callable[[], dict[str, str]]]:
    """A function that returns what this process's environment has reported, code -> message; each test
    begins without any."""
    from inbound_webhooks.monitoring.environment import ENVIRONMENT

    def reported() -> dict[str, str]:
        return {problem.code: problem.message for problem in ENVIRONMENT.problems()}

    yield reported
    for code in reported():
        ENVIRONMENT.resolve(code)


@pytest.fixture(scope="session")
def airflow_home(pytestconfig: pytest.Config) -> Path:
    """AIRFLOW_HOME of this process."""
    return pytestconfig.stash[HOME]


@pytest.fixture(scope="session")
def shared_folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of this run have."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if hasattr(request.config, "workerinput") else own


@pytest.fixture(scope="session")
def migrated_cluster(shared_folder: Path) -> Path:
    """The data folder of a PostgreSQL server, to be copied."""
    from tests.infrastructure.databases import make_migrated_cluster

    return once(shared_folder / "postgresql", make_migrated_cluster)


@pytest.fixture(scope="session")
def postgres_cluster(migrated_cluster: Path):
    """A running PostgreSQL server with a migrated database; a test that stops it starts it again."""
    from tests.infrastructure.postgres import running_cluster

    with running_cluster(copy_of=migrated_cluster) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def sqlite_template(shared_folder: Path, tmp_path_factory: pytest.TempPathFactory):
    from tests.infrastructure.databases import SqliteTemplate, make_migrated_file

    template = once(shared_folder / "sqlite.db", make_migrated_file)
    return SqliteTemplate(template, tmp_path_factory.mktemp("sqlite"))


@pytest.fixture(scope="session")
def postgres_template(postgres_cluster):
    from tests.infrastructure.databases import PostgresTemplate

    return PostgresTemplate(postgres_cluster)


@pytest.fixture
def sqlite_database(sqlite_template):
    """This process's Airflow on a freshly migrated SQLite database."""
    yield from _connected(sqlite_template)


@pytest.fixture
def postgres_database(postgres_template):
    """This process's Airflow on a freshly migrated PostgreSQL database."""
    yield from _connected(postgres_template)


@pytest.fixture(scope="session")
def template_of(request: pytest.FixtureRequest):
    """template_of("sqlite"): the migrated databases of that kind."""
    names = {"sqlite": "sqlite_template", "postgresql": "postgres_template"}
    return lambda backend: request.getfixturevalue(names[backend])


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest):
    """One after the other: a test with this fixture runs on both."""
    name = {"sqlite": "sqlite_database", "postgresql": "postgres_database"}[request.param]
    return request.getfixturevalue(name)


def _connected(template):
    from tests.infrastructure.databases import connect_airflow, disconnect_airflow

    database = template.fresh()
    connect_airflow(database.url)
    try:
        with pytest.MonkeyPatch.context() as patch:
            # On a busy machine the first check alone can take the time of a round; tests count what one does.
            patch.setattr("inbound_webhooks.dispatch.dispatcher.CHECK_SECONDS", 60.0)
            yield database
    finally:
        disconnect_airflow()


@pytest.fixture(scope="module")
def parser():
    """Airflow's own, which has found our commands by itself."""
    from airflow.cli import cli_parser

    return cli_parser.get_parser()


@pytest.fixture
def webhooks(parser, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """Run `airflow webhooks …` in this process, as alice."""
    from inbound_webhooks.receiver.instance import forget_receiver
    from tests.infrastructure.command_line import Done

    def run(*arguments: str) -> Done:
        capfd.readouterr()
        status = 0
        try:
            args = parser.parse_args(["webhooks", *arguments])
            args.func(args)
        except SystemExit as exit:
            status = exit.code or 0
        captured = capfd.readouterr()
        return Done(status, captured.out, captured.err)

    monkeypatch.setenv("USER", "alice")
    monkeypatch.setenv("LOGNAME", "alice")
    forget_receiver()
    yield run
    forget_receiver()


@pytest.fixture(scope="module")
def start_airflow(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    """A function that starts an Airflow of the module's own: start_airflow("sqlite", auth="fab", env={…})."""
    started = []

    def start(backend: str, *, processes: tuple[str, ...] = (), **options):
        made = _make_airflow(request, tmp_path_factory.mktemp(f"airflow-{backend}"), backend, **options)
        started.append(made)
        made.start(*processes)
        return made

    try:
        yield start
    finally:
        for made in started:
            made.stop()


def _make_airflow(request, home: Path, backend: str, **options):
    from tests.infrastructure.airflow_processes import AirflowProcesses

    url = request.getfixturevalue("template_of")(backend).for_airflow(home)
    return AirflowProcesses(home, url, **options)
