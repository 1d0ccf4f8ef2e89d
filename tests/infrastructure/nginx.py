"""nginx in front of servers on 127.0.0.1: with the configuration of docker/, or with a path prefix."""

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


class NginxProcess:
    """Start it, stop it; all that it writes goes below a folder."""

    def __init__(self, folder: Path, configuration: str, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.log = folder / "nginx.log"
        self._folder = folder
        self._file = folder / "nginx.conf"
        self._file.write_text(configuration)
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

    def _lets_in(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True


class Nginx(NginxProcess):
    """With the configuration of docker/."""

    def __init__(self, folder: Path, gateway_ports: Sequence[int]) -> None:
        port = free_port()
        super().__init__(folder, _here(CONFIGURATION.read_text(), folder, port, gateway_ports), port)


class PrefixNginx(NginxProcess):
    """In front of one server, with these directives for all that is below a path.

    ``tls`` are the files of a certificate for localhost and of its key; ``ca_file`` is what clients trust.
    """

    def __init__(
        self, folder: Path, path: str, directives: Sequence[str], tls: tuple[Path, Path] | None = None
    ) -> None:
        port = free_port()
        written = "\n".join(f"            {directive};" for directive in directives)
        files = f"ssl_certificate {tls[0]}; ssl_certificate_key {tls[1]};" if tls else ""
        configuration = _PREFIXED.format(
            folder=folder,
            paths=_temporary_paths(folder),
            listen=f"127.0.0.1:{port}{' ssl' if tls else ''}",
            tls=files,
            path=path,
            directives=written,
        )
        super().__init__(folder, configuration, port)
        if tls:
            self.url = f"https://localhost:{port}"
        self.ca_file = str(tls[0]) if tls else None


_PREFIXED = """
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;

events {{
}}

http {{
{paths}
    access_log off;
    server {{
        listen {listen};
        {tls}
        location {path} {{
{directives}
        }}
    }}
}}
"""


def _temporary_paths(folder: Path) -> str:
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    return "".join(f"    {kind}_temp_path {folder / kind};\n" for kind in kinds)


def _here(configuration: str, folder: Path, port: int, gateway_ports: Sequence[int]) -> str:
    """The configuration with addresses and paths of this machine."""
    for number, gateway_port in enumerate(gateway_ports, 1):
        there = f"server gateway-{number}:8787"
        configuration = configuration.replace(there, f"server 127.0.0.1:{gateway_port}")
    replaced = {
        "listen 8080;": f"listen 127.0.0.1:{port};",
        "pid /tmp/nginx.pid;": f"pid {folder / 'nginx.pid'};",
        "/dev/stdout": str(folder / "nginx.log"),
        "/dev/stderr": str(folder / "nginx.log"),
        "http {\n": f"http {{\n{_temporary_paths(folder)}",
    }
    for old, new in replaced.items():
        if old not in configuration:
            raise ValueError(f"{CONFIGURATION} has no {old!r} any more")
        configuration = configuration.replace(old, new)
    if left := re.search(r"server gateway\S*", configuration):
        raise ValueError(f"{left[0]} is no server's port here")
    return configuration
