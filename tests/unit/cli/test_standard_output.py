"""Standard output is the command's alone, whatever else in its process writes there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PLUGINS = Path(__file__).resolve().parents[3] / "plugins"
BEFORE = "from inbound_webhooks.cli.standard_output import STANDARD_OUTPUT as out; import atexit, os, sys\n"

OTHERS = {
    "a print": "print('other')",
    "a print that is still in its buffer": "",
    "a log handler made before": "log.warning('other')",
    "a C library": "os.write(1, b'other\\n')",
    "a child process": "import subprocess; subprocess.run(['echo', 'other'])",
    "a function at exit": "atexit.register(print, 'other')",
    "a log line at exit": "atexit.register(log.warning, 'other')",
}


def run(code: str, **options) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "PYTHONUNBUFFERED": "", "PYTHONPATH": str(PLUGINS), **options.pop("env", {})}
    command = [sys.executable, "-c", BEFORE + code]
    return subprocess.run(command, env=environment, capture_output=True, check=False, **options)


@pytest.mark.parametrize("other", OTHERS)
def test_what_others_write_goes_to_standard_error(other):
    buffered = "" if OTHERS[other] else "print('other')\n"
    done = run(
        "import logging; log = logging.getLogger(); log.addHandler(logging.StreamHandler(sys.stdout))\n"
        f"{buffered}out.claim()\nout.write('ours 1\\n')\n{OTHERS[other]}\nout.write('ours 2\\n')"
    )
    assert (done.returncode, done.stdout) == (0, b"ours 1\nours 2\n")
    assert done.stderr == b"other\n"


def test_a_process_that_logs_until_it_is_stopped_gets_it_back():
    done = run("out.claim(); print('early'); out.release(); print('later'); out.write('ours\\n')")
    assert (done.stdout, done.stderr) == (b"later\nours\n", b"early\n")


def test_a_help_text_reaches_standard_output():
    done = run("out.claim()\nwith out.released():\n    print('help')\nprint('other')")
    assert (done.stdout, done.stderr) == (b"help\n", b"other\n")


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [("utf-8", "é→\n".encode()), ("latin-1", b"\xe9\\u2192\n"), ("ascii", b"\\xe9\\u2192\n")],
)
@pytest.mark.parametrize("claim", ["out.claim()", ""])
def test_no_character_fails_in_any_terminal(encoding, expected, claim):
    done = run(f"{claim}\nout.write('\\xe9\\u2192\\n')", env={"PYTHONIOENCODING": encoding})
    assert (done.returncode, done.stdout, done.stderr) == (0, expected, b"")


def test_a_file_format_keeps_its_own_encoding():
    done = run("out.claim(); out.write('\\xe9', encoding='utf-8')", env={"PYTHONIOENCODING": "latin-1"})
    assert done.stdout == "é".encode()


def test_a_long_text_arrives_whole():
    done = run("out.claim(); out.write('x' * 1_000_000)")
    assert len(done.stdout) == 1_000_000


@pytest.mark.parametrize("closing", [">&-", "2>&-", ">&- 2>&-"])
def test_closed_streams_are_no_error(closing):
    code = f"{BEFORE}out.claim(); out.write('ours\\n'); print('other')"
    done = subprocess.run(
        ["sh", "-c", f'"$0" -c "$1" {closing}', sys.executable, code],
        env={**os.environ, "PYTHONPATH": str(PLUGINS)},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0
    assert done.stdout == (b"" if closing.startswith(">") else b"ours\n")


def test_a_stream_of_another_program_is_left_alone(capsys):
    from inbound_webhooks.cli.standard_output import STANDARD_OUTPUT

    STANDARD_OUTPUT.claim()
    STANDARD_OUTPUT.write("ours\n")
    print("theirs")
    assert capsys.readouterr().out == "ours\ntheirs\n"
