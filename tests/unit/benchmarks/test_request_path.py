"""What a request's path is made of, and how it is recorded."""

from __future__ import annotations

import importlib
import json
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.function_sizes import function_lines
from benchmarks.path_recorder import CALL, RESUME, RETURN, YIELD, Recorder
from benchmarks.request_trace import Event, RequestTrace, listing, usual

PACKAGE = {
    "__init__.py": "",
    "entry.py": """
import asyncio
from concurrent.futures import ThreadPoolExecutor
from recorded_package.values import Value


async def serve(pool):
    value = Value(2)
    await asyncio.sleep(0)
    double = lambda: value.double
    return await asyncio.get_running_loop().run_in_executor(pool, double)


class Connection(asyncio.Protocol):
    def data_received(self, data):
        return data


def run():
    Connection().data_received(b"")
    with ThreadPoolExecutor(1) as pool:
        return asyncio.run(serve(pool))
""",
    "values.py": """
from dataclasses import dataclass


@dataclass
class Value:
    number: int

    @property
    def double(self):
        return sum(self.number for _ in range(2))
""",
}


@pytest.fixture
def entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A package's module, not this project's: two modules, a coroutine, a thread, a connection."""
    folder = tmp_path / "recorded_package"
    folder.mkdir()
    for name, text in PACKAGE.items():
        (folder / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module("recorded_package.entry")
    for name in [name for name in sys.modules if name.startswith("recorded_package")]:
        del sys.modules[name]


def recorded(entry) -> RequestTrace:
    """What `run` runs, as a file of the recorder would have it."""
    recorder = Recorder(Path(entry.__file__).parent)
    threading.setprofile(recorder)
    sys.setprofile(recorder)
    try:
        assert entry.run() == 4
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    return RequestTrace.load(json.loads(json.dumps(recorder.take())))


def test_lambdas_properties_generators_and_other_threads_count(entry):
    trace = recorded(entry)
    called = {name for _, name in trace.calls}
    assert called == {
        "run",
        "serve",
        "serve.<locals>.<lambda>",
        "Value.double",
        "Value.double.<locals>.<genexpr>",
    }
    assert trace.threads == 2
    assert trace.modules == {"recorded_package.entry", "recorded_package.values"}


def test_what_waits_is_called_once_and_resumed(entry):
    kinds = [event.kind for event in recorded(entry).events if event.function[1] == "serve"]
    assert kinds == [CALL, YIELD, RESUME, YIELD, RESUME, RETURN]


def test_what_was_taken_is_not_given_again(entry):
    recorder = Recorder(Path(entry.__file__).parent)
    sys.setprofile(recorder)
    try:
        entry.run()
    finally:
        sys.setprofile(None)
    assert recorder.take()["events"]
    assert recorder.take()["events"] == []


def trace_of(*steps: tuple[str, str]) -> RequestTrace:
    """One thread's events: ("call", "module:name")."""
    split = [(kind, *function.split(":")) for kind, function in steps]
    return RequestTrace(tuple(Event(1, kind, (module, name)) for kind, module, name in split))


def test_a_call_or_resumption_in_another_module_is_a_switch():
    trace = trace_of(
        (CALL, "a:one"),
        (CALL, "b:two"),  # a → b
        (YIELD, "b:two"),
        (YIELD, "a:one"),
        (RESUME, "a:one"),  # b → a
        (RESUME, "b:two"),  # a → b
        (CALL, "b:three"),
        (RETURN, "b:three"),
        (RETURN, "b:two"),
        (RETURN, "a:one"),
    )
    assert trace.switches == 3
    assert trace.calls == Counter({("a", "one"): 1, ("b", "two"): 1, ("b", "three"): 1})


def test_periodic_work_is_not_part_of_the_path():
    plain = trace_of((CALL, "a:one"), (RETURN, "a:one"))
    periodic = trace_of((CALL, "a:one"), (CALL, "a:flush"), (RETURN, "a:flush"), (RETURN, "a:one"))
    assert usual([periodic, plain, plain]) == (plain, 2)


def test_the_listing_has_each_function_and_every_call_below_its_caller():
    text = listing(
        trace_of(
            (CALL, "a:one"),
            (CALL, "b:two"),
            (RETURN, "b:two"),
            (CALL, "b:two"),
            (RETURN, "b:two"),
            (RETURN, "a:one"),
        )
    )
    assert text == (
        "Functions\n   1 × a:one\n   2 × b:two\n\nCalls\nthread 1 a:one\nthread 1   b:two\nthread 1   b:two\n"
    )


def test_a_functions_lines_are_counted_from_def_to_end_and_migrations_left_out(tmp_path: Path):
    source = '@decorated\ndef one():\n    """Doc."""\n\n    class C:\n        async def two(self): ...\n'
    (tmp_path / "module.py").write_text(source)
    (tmp_path / "storage" / "migrations").mkdir(parents=True)
    (tmp_path / "storage" / "migrations" / "first.py").write_text("def upgrade():\n    pass\n")
    assert sorted(function_lines(tmp_path)) == [1, 5]
