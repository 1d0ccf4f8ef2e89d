"""A program that calls the REST API in a running api-server."""

from __future__ import annotations

from typing import Any

import requests


class Program:
    """A caller of the API with a token, or without one."""

    def __init__(self, url: str, token: str | None) -> None:
        self._root = f"{url}/webhooks/api/v1"
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def __call__(self, method: str, path: str, body: Any = None) -> requests.Response:
        # A proxy that the shell names is for other machines.
        with requests.Session() as session:
            session.trust_env = False
            return session.request(
                method, f"{self._root}{path}", json=body, headers=self._headers, timeout=60
            )
