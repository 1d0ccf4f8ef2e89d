"""An ASGI application behind a real server, in a thread of this process."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

SECONDS = 5
HOST = "127.0.0.1"


class AsgiServer:
    """uvicorn on a free port of 127.0.0.1; ``http`` is the parser, "h11" or "httptools"."""

    def __init__(self, app: Any, http: str) -> None:
        import uvicorn

        config = uvicorn.Config(app, host=HOST, port=0, http=http, log_config=None)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run)

    @property
    def port(self) -> int:
        return int(self._server.servers[0].sockets[0].getsockname()[1])

    def start(self) -> None:
        self._thread.start()
        while not self._server.started:
            assert self._thread.is_alive()
            time.sleep(0.01)

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join()

    def connect(self) -> socket.socket:
        return socket.create_connection((HOST, self.port), timeout=SECONDS)

    def say(self, *parts: bytes) -> bytes:
        """Send these bytes; return what comes back until the server has no more to say."""
        with self.connect() as connection:
            for part in parts:
                connection.sendall(part)
            return b"".join(iter(lambda: connection.recv(65536), b""))
