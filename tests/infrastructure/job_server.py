"""The other system of a callback: it takes jobs by HTTP, and sends no call by itself."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class JobServer:
    """``jobs`` are the bodies that came, in their order; ``answer`` is the JSON of each response.

    A function as ``answer`` gets the job, in a thread of the request's own, and returns the JSON.
    """

    def __init__(self, answer: Any = None) -> None:
        self.jobs: list[dict[str, Any]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self.jobs, answer))
        self.url = f"http://127.0.0.1:{self._server.server_port}/jobs"

    @contextmanager
    def running(self) -> Iterator[JobServer]:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()


def _handler(jobs: list[dict[str, Any]], answer: Any) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            job = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            jobs.append(job)
            given = answer(job) if callable(answer) else answer
            written = b"" if given is None else json.dumps(given).encode()
            self.send_response(201)
            self.send_header("Content-Length", str(len(written)))
            self.end_headers()
            with suppress(ConnectionError):  # the worker has died meanwhile
                self.wfile.write(written)

        def log_message(self, *_: Any) -> None:
            """Nothing: tests look at ``jobs``."""

    return Handler
