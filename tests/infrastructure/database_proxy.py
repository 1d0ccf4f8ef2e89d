"""Stands between Airflow and PostgreSQL, and loses connections where a test wants them lost."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Callable

from tests.infrastructure.postgres import free_port

BUFFER_BYTES = 65536
ANSWER_SECONDS = 10


class DatabaseProxy:
    """Passes connections on to a port of 127.0.0.1; ``messages`` counts what clients have said."""

    def __init__(self, server_port: int) -> None:
        self.port = free_port()
        self.messages = 0
        self._server_port = server_port
        self._wanted: Callable[[bytes], bool] | None = None
        self._heard = False
        self._then: Callable[[], None] | None = None
        self._lock = threading.Lock()
        self._links: set[_Link] = set()
        self._listener: socket.socket | None = None

    def url(self, database_url: str) -> str:
        """The same database through here."""
        return re.sub(r":\d+/", f":{self.port}/", database_url)

    def start(self) -> None:
        """Let connections in, from now on or again."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def lead_to(self, server_port: int) -> None:
        """Pass new connections on to another server."""
        self._server_port = server_port

    def stop(self) -> None:
        """Refuse new connections and lose those that there are."""
        if self._listener is not None:
            # A close alone does not wake up who waits for connections.
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        self.lose()

    def lose(self) -> None:
        """Lose every connection; new ones are let in."""
        with self._lock:
            lost, self._links = self._links, set()
        for link in lost:
            link.close()

    def lose_at(self, text: bytes, *, heard: bool, then: Callable[[], None] | None = None) -> None:
        """Lose the connection at the next message with this text: see :meth:`lose_when`."""
        self.lose_when(lambda message: text in message, heard=heard, then=then)

    def lose_at_message(self, number: int, *, heard: bool) -> None:
        """Lose the connection at this message from now on, the first one is 1."""
        at = self.messages + number
        self.lose_when(lambda _: self.messages == at, heard=heard)

    def lose_when(
        self, wanted: Callable[[bytes], bool] | None, *, heard: bool, then: Callable[[], None] | None = None
    ) -> None:
        """Lose a connection once, None for never: before the server gets a message, or, ``heard``, after it.

        ``then`` is called before the client notices.
        """
        self._wanted, self._heard, self._then = wanted, heard, then

    @property
    def is_armed(self) -> bool:
        """Whether the connection that was to be lost is not lost yet."""
        return self._wanted is not None

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                try:
                    server = socket.create_connection(("127.0.0.1", self._server_port))
                except ConnectionError:
                    client.close()
                    continue
                link = _Link(client, server)
                with self._lock:
                    self._links.add(link)
                threading.Thread(target=self._serve, args=(link,), daemon=True).start()
                threading.Thread(target=link.response, daemon=True).start()

    def _serve(self, link: _Link) -> None:
        with contextlib.suppress(OSError):
            while message := link.client.recv(BUFFER_BYTES):
                if self._is_wanted(message):
                    self._lose(link, message)
                    break
                link.server.sendall(message)
        link.close()

    def _is_wanted(self, message: bytes) -> bool:
        with self._lock:
            self.messages += 1
            found = self._wanted is not None and self._wanted(message)
            if found:
                self._wanted = None
        return found

    def _lose(self, link: _Link, message: bytes) -> None:
        if self._heard:
            link.muted.set()
            link.server.sendall(message)
            link.answered.wait(ANSWER_SECONDS)
        if self._then is not None:
            self._then()


class _Link:
    """One connection of a client, and the one to the server that goes with it."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client = client
        self.server = server
        self.muted = threading.Event()
        self.answered = threading.Event()

    def response(self) -> None:
        """Pass on what the server says, until no client is to hear it."""
        with contextlib.suppress(OSError):
            while message := self.server.recv(BUFFER_BYTES):
                if self.muted.is_set():
                    self.answered.set()
                else:
                    self.client.sendall(message)
        self.close()

    def close(self) -> None:
        for connection in (self.client, self.server):
            # A close alone does not wake up who waits for the other side.
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
