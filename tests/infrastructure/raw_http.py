"""HTTP over a bare socket: what no well-behaved client sends."""

from __future__ import annotations

import contextlib
import io
import socket
import time
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPException, HTTPResponse, RemoteDisconnected

ANSWER_SECONDS = 60
SILENT_SECONDS = 0.15


class End:
    """Stands where the sender says that no more comes, and still listens."""


Part = bytes | float | type[End]


@dataclass(frozen=True)
class Reply:
    """The first answer on a connection; status 0 where the server closed it without one."""

    status: int
    headers: Message
    body: bytes


NO_REPLY = Reply(0, Message(), b"")


def exchange(port: int, *parts: Part, gone_after: bool = False) -> Reply:
    """Send the bytes, sleep for the numbers between them, and read the answer.

    :param gone_after: close without waiting for the answer
    """
    with socket.create_connection(("127.0.0.1", port), timeout=ANSWER_SECONDS) as connection:
        _send(connection, parts)
        return NO_REPLY if gone_after else _read(connection)


def converse(port: int, *parts: Part, responses: int = 1) -> list[Reply]:
    """The same with every answer that comes, until the server closes or is silent after so many of them.

    Leave to go on (100) is no answer.
    """
    heard = b""
    with socket.create_connection(("127.0.0.1", port), timeout=ANSWER_SECONDS) as connection:
        _send(connection, parts)
        with contextlib.suppress(ConnectionResetError, TimeoutError):
            while more := connection.recv(65536):
                heard += more
                if len(_read_all(heard)) >= responses:
                    connection.settimeout(SILENT_SECONDS)
    return _read_all(heard)


def head(method: str, target: str, *headers: str, version: str = "1.1") -> bytes:
    """Request line and headers; the server is asked to close after its answer."""
    lines = [f"{method} {target} HTTP/{version}", "Host: localhost", *headers]
    if not any(line.lower().startswith("connection:") for line in headers):
        lines.append("Connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def chunk(data: bytes) -> bytes:
    """One chunk of Transfer-Encoding: chunked; an empty one is the last."""
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


class _Heard(io.BytesIO):
    """What the server said, as http.client reads it: from a socket's file, which stays open for more."""

    def makefile(self, _mode: str) -> _Heard:
        return self

    def close(self) -> None:
        """Between two answers."""


def _read_all(heard: bytes) -> list[Reply]:
    """The answers that are whole."""
    file, replies = _Heard(heard), []
    with contextlib.suppress(HTTPException):
        while file.tell() < len(heard):
            response = HTTPResponse(file)  # type: ignore[arg-type]  # of a socket it wants the file only
            response.begin()
            replies.append(Reply(response.status, response.headers, response.read()))
    return replies


def _send(connection: socket.socket, parts: tuple[Part, ...]) -> None:
    """Send until the server has heard enough: it may answer before it has read everything."""
    with contextlib.suppress(OSError):  # a broken pipe, a reset, or no connection any more
        for part in parts:
            if isinstance(part, bytes):
                connection.sendall(part)
            elif isinstance(part, type):
                connection.shutdown(socket.SHUT_WR)
            else:
                time.sleep(part)


def _read(connection: socket.socket) -> Reply:
    response = HTTPResponse(connection)
    try:
        response.begin()
        return Reply(response.status, response.headers, response.read())
    except (RemoteDisconnected, ConnectionResetError):
        return NO_REPLY
