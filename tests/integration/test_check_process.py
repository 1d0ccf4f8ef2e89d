"""The process for slow checks: killed, replaced, and gone with the process that started it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from contextlib import suppress

import pytest

from inbound_webhooks.airflow_bridge.check_process import (
    CHECKS_DO_NOT_START,
    FAILED,
    TOO_SLOW,
    CheckProcess,
)
from inbound_webhooks.airflow_bridge.check_worker import MAX_MEMORY_BYTES
from inbound_webhooks.errors import TooBusy
from inbound_webhooks.event.conf.parameter import Parameter
from inbound_webhooks.monitoring.environment import ENVIRONMENT
from inbound_webhooks.monitoring.health import Health

SLOW = {"pattern": r"^(?=a)(\w+\s?)*$"}
EVIL = "a" * 40 + "!"

FORKS = """
import os
from inbound_webhooks.airflow_bridge.check_process import CheckProcess
process = CheckProcess()
assert process.refusal({"pattern": "^(?=a)"}, "a") is None
child = os.fork()
for value, wanted in (("a", True), ("b", False)) * 20:
    assert (process.refusal({"pattern": "^(?=a)"}, value) is None) == wanted
process.close()
if not child:
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
"""

IS_KILLED = """
import time
from inbound_webhooks.airflow_bridge.check_process import CheckProcess
process = CheckProcess()
process.refusal({"pattern": "^(?=a)"}, "a")
print(process.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture
def process():
    made = CheckProcess()
    yield made
    made.close()


def test_one_process_makes_all_checks_until_one_of_them_is_slow(process):
    assert process.pid is None
    assert process.refusal(SLOW, "a b") is None
    first = process.pid
    assert process.refusal(SLOW, "b") == r"must match the pattern '^(?=a)(\\w+\\s?)*$'"
    assert process.pid == first
    assert process.refusal(SLOW, EVIL) == TOO_SLOW
    assert process.refusal(SLOW, "a b") is None
    assert process.pid not in (None, first)


def test_the_time_of_a_check_begins_anew_with_each(process):
    big = {"pattern": "^(?=a)", "items": {"type": "integer"}}
    for _ in range(10):
        assert process.refusal(big, list(range(3_000))) is None


def test_a_megabyte_of_text_is_matched_by_the_linear_engine_there(process):
    """Each character may take as many steps as a pattern has states, so that the endpoint does not do it."""
    asked = []

    def noted(schema, value):
        asked.append(len(value))
        return process.refusal(schema, value)

    param = Parameter("text", {"type": "array", "items": {"pattern": r"^(\w+\s?)*$"}}, check_slowly=noted)
    assert param.refusal(["a b " * 250_000]) is None
    assert param.refusal(["a b " * 250_000 + "!"]) == r"at [0]: must match the pattern '^(\\w+\\s?)*$'"
    assert param.refusal(["a b " * 100]) is None
    assert asked == [1, 1]


def test_any_text_gets_there_and_back(process):
    schema = {"enum": ["ü\n\x00\u2028😀"], "$anchor": "slow"}
    assert process.refusal(schema, "ü\n\x00\u2028😀") is None
    assert "😀" in str(process.refusal(schema, "\ud800"))


def test_a_fork_has_a_process_of_its_own():
    done = subprocess.run([sys.executable, "-c", FORKS], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")


def test_it_ends_with_the_process_that_started_it():
    with subprocess.Popen([sys.executable, "-c", IS_KILLED], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        assert is_alive(worker)
        parent.kill()
    until = time.monotonic() + 30
    while is_alive(worker) and time.monotonic() < until:
        time.sleep(0.05)
    assert not is_alive(worker)


def is_alive(pid: int) -> bool:
    with suppress(FileNotFoundError), open(f"/proc/{pid}/stat") as status:
        return status.read().rpartition(")")[2].split()[0] != "Z"
    return False


@pytest.mark.parametrize(
    ("python", "reason"),
    [("/nowhere/python", "No such file or directory"), ("/bin/false", "it ends with the status 1")],
)
def test_one_that_does_not_start_is_a_problem_of_the_environment_until_it_does(
    environment_problems, process, python, reason
):
    broken = CheckProcess(python)
    with pytest.raises(TooBusy):
        broken.refusal(SLOW, "a")
    (message,) = environment_problems().values()
    assert reason in message
    assert f"{python} must be able to import this package" in message
    report = asyncio.run(Health(None).report()).document
    assert [problem["code"] for problem in report["problems"]] == [CHECKS_DO_NOT_START]
    assert process.refusal(SLOW, "a") is None
    assert environment_problems() == {}


def test_check_names_one_that_does_not_start_in_another_process(sqlite_database, environment_problems):
    from inbound_webhooks.files.checking import check_stored
    from inbound_webhooks.receiver.self_report import SelfReport

    with pytest.raises(TooBusy):
        CheckProcess("/nowhere/python").refusal(SLOW, "a")
    SelfReport().save()
    ENVIRONMENT.resolve(CHECKS_DO_NOT_START)
    assert [problem.code for problem in check_stored().findings] == [CHECKS_DO_NOT_START]


def test_its_memory_is_limited(process):
    process.refusal(SLOW, "a")
    with open(f"/proc/{process.pid}/limits") as limits:
        (line,) = [line for line in limits if line.startswith("Max address space")]
    assert line.split()[3:5] == [str(MAX_MEMORY_BYTES)] * 2


def test_a_check_that_exceeds_the_memory_fails_and_the_next_one_is_made(process):
    """By a value alone, as no check of a bounded value takes so much within its time."""
    assert process.refusal(SLOW, "a" * (MAX_MEMORY_BYTES // 2)) == FAILED
    assert process.refusal(SLOW, "a") is None
