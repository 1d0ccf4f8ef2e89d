"""nginx with the configuration of docker/, in front of gateways on 127.0.0.1 instead of containers."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from dev.services import end
from tests.infrastructure.environment import CHECKOUT
from tests.infrastructure.postgres import free_port

CONFIGURATION = CHECKOUT / "docker" / "nginx.conf"
START_SECONDS = 15


class Nginx:
    """Start it, stop it; all that it writes goes below a folder."""

    def __init__(self, folder: Path, gateway_ports: Sequence[int]) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / "nginx.log"
        self._folder = folder
        self._file = folder / "nginx.conf"
        self._file.write_text(self._here(CONFIGURATION.read_text(), gateway_ports))
        self._process: subprocess.Popen[bytes] | None = None

    def check(self) -> str:
        """What `nginx -t` says; it must find nothing wrong."""
        done = subprocess.run([*self._command(), "-t"], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(done.stderr)
        return done.stderr

    def start(self) -> None:
        """Returns when it lets clients in."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._command(), "-g", "daemon off;"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        give_up_at = time.monotonic() + START_SECONDS
        while not self._lets_in():
            if self._process.poll() is not None or time.monotonic() > give_up_at:
                raise RuntimeError(f"nginx does not start: {self.log.read_text()}")
            time.sleep(0.02)

    def stop(self) -> None:
        if self._process:
            end(self._process)
            self._process = None

    def _command(self) -> list[str]:
        program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
        if program is None:
            raise FileNotFoundError("nginx is missing: make system, or install nginx-light")
        return [program, "-p", str(self._folder), "-e", str(self.log), "-c", str(self._file)]

    def _here(self, configuration: str, gateway_ports: Sequence[int]) -> str:
        """The same, with addresses and paths of this machine."""
        for number, port in enumerate(gateway_ports, 1):
            configuration = configuration.replace(f"server gateway-{number}:8787", f"server 127.0.0.1:{port}")
        paths = "".join(
            f"    {kind}_temp_path {self._folder / kind};\n"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        replaced = {
            "listen 8080;": f"listen 127.0.0.1:{self.port};",
            "pid /tmp/nginx.pid;": f"pid {self._folder / 'nginx.pid'};",
            "/dev/stdout": str(self.log),
            "/dev/stderr": str(self.log),
            "http {\n": f"http {{\n{paths}",
        }
        for old, new in replaced.items():
            if old not in configuration:
                raise ValueError(f"{CONFIGURATION} has no {old!r} any more")
            configuration = configuration.replace(old, new)
        if left := re.search(r"server gateway\S*", configuration):
            raise ValueError(f"{left[0]} is nobody's port here")
        return configuration

    def _lets_in(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True
