"""HTTP over a bare socket, so that exactly the recorded bytes go out."""

from __future__ import annotations

import contextlib
import io
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse

from tests.recording.scenario import Part

RESPONSE_SECONDS = 30
SILENCE_SECONDS = 0.4
"""After the last response that is expected, how long more are waited for."""


@dataclass(frozen=True)
class Reply:
    """One response, its header names in lower case."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


def converse(port: int, parts: Sequence[Part], *, method: str, responses: int) -> list[Reply]:
    """Send the parts; return every whole response until the server closes or falls silent."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=RESPONSE_SECONDS) as connection:
        _send(connection, parts)
        with contextlib.suppress(ConnectionResetError, TimeoutError):
            while more := connection.recv(65536):
                received += more
                if len(_replies(received, method)) >= responses:
                    connection.settimeout(SILENCE_SECONDS)
    return _replies(received, method)


class _Received(io.BytesIO):
    """What ``http.client`` takes for a socket, and leaves open for the next response."""

    def makefile(self, _mode: str) -> _Received:
        return self

    def close(self) -> None:
        """Not between two responses."""


def _replies(received: bytes, method: str) -> list[Reply]:
    file, replies = _Received(received), []
    with contextlib.suppress(HTTPException):
        while file.tell() < len(received):
            response = HTTPResponse(file, method=method)  # type: ignore[arg-type]
            response.begin()
            headers = tuple((name.lower(), value) for name, value in response.getheaders())
            replies.append(Reply(response.status, headers, response.read()))
    return replies


def _send(connection: socket.socket, parts: Sequence[Part]) -> None:
    """Send until the server has closed: it may respond before it has read everything."""
    with contextlib.suppress(OSError):
        for part in parts:
            if isinstance(part, bytes):
                connection.sendall(part)
            elif part is None:
                connection.shutdown(socket.SHUT_WR)
            else:
                time.sleep(part)
