"""The soak's judge: what grows with the work is found, what settles or shakes is not."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest

from benchmarks.flatness import MIB, compared, is_flat
from benchmarks.process_samples import sample, with_children
from benchmarks.soak import growing

SAMPLES = 120
REQUESTS = 90_000


def test_the_first_quarter_is_the_warm_up_and_the_third_does_not_count():
    assert compared([900, 900, 10, 10, 500, 500, 20, 20]) == (10, 20)


def test_too_few_samples_are_refused():
    with pytest.raises(ValueError, match="7 samples"):
        compared([1] * 7)


def test_memory_that_a_request_leaves_behind_is_found():
    """Half a kilobyte of each, in a process of 250 MiB."""
    kept = [250 * MIB + 512 * REQUESTS * at / SAMPLES for at in range(SAMPLES)]
    assert not is_flat("memory", kept)


def test_memory_that_rises_in_the_warm_up_and_then_shakes_is_flat():
    shaking = random.Random(1)
    settled = [min(250, 150 + at * 4) * MIB + shaking.uniform(-4, 4) * MIB for at in range(SAMPLES)]
    assert is_flat("memory", settled)


@pytest.mark.parametrize("measure", ["threads", "files", "connections"])
def test_a_thread_a_file_or_a_connection_a_minute_is_found(measure):
    """In half an hour, the minutes of four samples each."""
    assert not is_flat(measure, [20 + at // 4 for at in range(SAMPLES)])


@pytest.mark.parametrize("measure", ["memory", "threads", "files", "connections"])
def test_what_becomes_less_is_flat(measure):
    assert is_flat(measure, [300 * MIB - at for at in range(SAMPLES)])


def test_a_process_that_grows_is_named_with_its_measure():
    quiet = sample(os.getpid())
    grown = [type(quiet)(**vars(quiet) | {"files": 10 * at}) for at in range(8)]
    said = list(growing({"steady": [quiet] * 8, "leaking": grown}))
    assert said == ["NOT FLAT: files of leaking grew from 25 to 65."]


def test_a_sample_counts_the_files_sockets_threads_and_bytes_of_a_process(tmp_path: Path):
    import socket

    before, go = sample(os.getpid()), threading.Event()
    with ExitStack() as opened:
        for number in range(5):
            opened.enter_context((tmp_path / str(number)).open("w"))
        for one in socket.socketpair():
            opened.enter_context(one)
        waiting = threading.Thread(target=go.wait)
        waiting.start()
        block = bytearray(os.urandom(64 * MIB))
        after = sample(os.getpid())
        go.set()
        waiting.join()
    assert (after.files - before.files, after.connections - before.connections) == (7, 2)
    assert after.threads - before.threads == 1
    assert after.memory - before.memory > len(block) // 2


def test_the_children_of_a_process_are_found_and_one_that_has_ended_is_reported():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert child.pid in with_children(os.getpid())
    child.communicate(b"\n")
    with pytest.raises(FileNotFoundError):
        sample(child.pid)
