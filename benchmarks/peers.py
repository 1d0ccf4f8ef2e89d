"""Other people's webhook receivers, each as a process on a free port of 127.0.0.1."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

from benchmarks.bare import URL_VARIABLE
from dev.services import end
from tests.infrastructure.postgres import free_port

START_SECONDS = 90
CHECKOUT = Path(__file__).resolve().parents[1]

NODE_RED = "NODE_RED"
"""The variable that says where Node-RED's program is, where it is not in the path."""

FLOW = [
    {"id": "tab", "type": "tab", "label": "hook"},
    {"id": "in", "z": "tab", "type": "http in", "url": "/webhook", "method": "post", "wires": [["out"]]},
    {"id": "out", "z": "tab", "type": "http response", "statusCode": "202", "wires": []},
]


@contextmanager
def adnanh_webhook(folder: Path) -> Iterator[int | None]:
    """adnanh/webhook, running /bin/true for each request; None where it is not installed."""
    program = shutil.which("webhook")
    if program is None:
        yield None
        return
    hooks = folder / "hooks.json"
    hooks.write_text(json.dumps([{"id": "order", "execute-command": "/bin/true", "http-methods": ["POST"]}]))
    port = free_port()
    command = [program, "-hooks", str(hooks), "-ip", "127.0.0.1", "-port", str(port), "-urlprefix", "webhook"]
    with _running(command, port, folder, "/"):
        yield port


@contextmanager
def node_red(folder: Path) -> Iterator[int | None]:
    """Node-RED's `http in` wired to `http response`; None where it is not installed."""
    program = os.environ.get(NODE_RED) or shutil.which("node-red")
    if program is None:
        yield None
        return
    home = folder / "node-red"
    home.mkdir()
    (home / "flows.json").write_text(json.dumps(FLOW))
    (home / "settings.js").write_text('module.exports = {uiHost: "127.0.0.1", flowFile: "flows.json"}')
    port = free_port()
    command = [program, "--userDir", str(home), "--port", str(port)]
    with _running(command, port, folder, "/webhook"):
        yield port


@contextmanager
def bare_starlette(folder: Path, database_url: str) -> Iterator[int]:
    """The bare route of :mod:`benchmarks.bare`, on uvicorn as the gateway is."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "benchmarks.bare:app", "--port", str(port)]
    command += ["--no-access-log", "--log-level", "warning"]
    variables = {URL_VARIABLE: database_url.replace("+psycopg2", "")}
    with _running(command, port, folder, "/", variables=variables):
        yield port


@contextmanager
def _running(
    command: Sequence[str],
    port: int,
    folder: Path,
    path: str,
    *,
    variables: Mapping[str, str] | None = None,
) -> Iterator[None]:
    with (folder / f"peer-{port}.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=CHECKOUT,
            env={**os.environ, **(variables or {})},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        _wait(process, port, path)
        yield
    finally:
        end(process)


def _wait(process: subprocess.Popen[bytes], port: int, path: str) -> None:
    give_up_at = time.monotonic() + START_SECONDS
    while not _answers(port, path):
        if process.poll() is not None or time.monotonic() > give_up_at:
            raise RuntimeError(f"{process.args} does not answer")
        time.sleep(0.2)


def _answers(port: int, path: str) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("POST", path, b"{}", {"Content-Type": "application/json"})
        status = connection.getresponse().status
    except OSError:
        return False
    else:
        # Node-RED answers 404 until its flow is there.
        return path == "/" or status == 202
    finally:
        connection.close()
