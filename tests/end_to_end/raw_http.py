"""HTTP over a bare socket: what no well-behaved client sends."""

from __future__ import annotations

import contextlib
import socket
import time
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPResponse, RemoteDisconnected

ANSWER_SECONDS = 60


@dataclass(frozen=True)
class Reply:
    """The first answer on a connection; status 0 where the server closed it without one."""

    status: int
    headers: Message
    body: bytes


NO_REPLY = Reply(0, Message(), b"")


def exchange(port: int, *parts: bytes | float, gone_after: bool = False) -> Reply:
    """Send the bytes, sleep for the numbers between them, and read the answer.

    :param gone_after: close without waiting for the answer
    """
    with socket.create_connection(("127.0.0.1", port), timeout=ANSWER_SECONDS) as connection:
        _send(connection, parts)
        return NO_REPLY if gone_after else _read(connection)


def head(method: str, target: str, *headers: str, version: str = "1.1") -> bytes:
    """Request line and headers; the server is asked to close after its answer."""
    lines = [f"{method} {target} HTTP/{version}", "Host: localhost", *headers]
    if not any(line.lower().startswith("connection:") for line in headers):
        lines.append("Connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def chunk(data: bytes) -> bytes:
    """One chunk of Transfer-Encoding: chunked; an empty one is the last."""
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def _send(connection: socket.socket, parts: tuple[bytes | float, ...]) -> None:
    """Send until the server has heard enough: it may answer before it has read everything."""
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        for part in parts:
            if isinstance(part, bytes):
                connection.sendall(part)
            else:
                time.sleep(part)


def _read(connection: socket.socket) -> Reply:
    response = HTTPResponse(connection)
    try:
        response.begin()
        return Reply(response.status, response.headers, response.read())
    except (RemoteDisconnected, ConnectionResetError):
        return NO_REPLY
