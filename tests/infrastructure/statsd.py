"""A statsd that keeps what it hears, as fast as it comes: the kernel holds only some hundred datagrams."""

from __future__ import annotations

import socket
import threading

MARK = "mark "


class StatsdServer:
    """A UDP socket on 127.0.0.1 and a thread that reads it; `port` is for Airflow's [metrics]."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._heard: list[str] = []
        self._marks = 0
        self._mark_read = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._listen, name="statsd", daemon=True)
        self._thread.start()

    def heard(self) -> list[str]:
        """All datagrams that were sent before now."""
        self._mark()
        return list(self._heard)

    def close(self) -> None:
        self._closing = True
        self._mark()
        self._thread.join()
        self._socket.close()

    def _mark(self) -> None:
        """Wait until all that waits in the kernel was read; a mark that found no room there is sent again."""
        with self._mark_read, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            wanted = self._marks + 1
            while self._marks < wanted:
                sender.sendto(f"{MARK}{wanted}".encode(), ("127.0.0.1", self.port))
                self._mark_read.wait(timeout=1)

    def _listen(self) -> None:
        while not self._closing:
            packet = self._socket.recv(65535).decode()
            if not packet.startswith(MARK):
                self._heard.append(packet)
                continue
            with self._mark_read:
                self._marks = int(packet.removeprefix(MARK))
                self._mark_read.notify_all()
