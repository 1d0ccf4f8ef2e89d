"""A client for the REST API of an Airflow on this machine."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

# Proxies from the environment are for other machines.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Response:
    status: int
    body: str

    def json(self) -> Any:
        return json.loads(self.body)


def send(url: str, *, data: bytes | None = None, headers: dict[str, str] | None = None) -> Response:
    """POST if there is data, else GET; raises OSError if the connection fails."""
    request = urllib.request.Request(url, data=data, headers=headers or {})
    try:
        with _opener.open(request, timeout=30) as response:
            return Response(response.status, response.read().decode(errors="replace"))
    except urllib.error.HTTPError as error:
        return Response(error.code, error.read().decode(errors="replace"))


@dataclass(frozen=True)
class Rest:
    """The API with the permissions of one user; `token` is the result of /auth/token."""

    url: str
    token: str

    @classmethod
    def log_in(cls, url: str, *, username: str, password: str) -> Rest:
        credentials = json.dumps({"username": username, "password": password}).encode()
        response = send(f"{url}/auth/token", data=credentials, headers={"Content-Type": "application/json"})
        if response.status != 201:
            raise PermissionError(f"Airflow rejected the login of {username}: {response.body}")
        return cls(url, response.json()["access_token"])

    def get(self, path: str) -> Any:
        """The JSON at a path below /api/v2, or None if it does not exist yet."""
        headers = {"Authorization": f"Bearer {self.token}", "Accept": "application/json"}
        response = send(f"{self.url}/api/v2/{path}", headers=headers)
        return response.json() if response.status == 200 else None
