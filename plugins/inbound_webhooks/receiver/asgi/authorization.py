"""Takes back the credentials that Airflow itself adds to requests."""

from __future__ import annotations

from inbound_webhooks.receiver.asgi.messages import Scope


def drop_last_authorization(scope: Scope) -> None:
    """Drop the last Authorization header, which a middleware has appended to the sender's own headers."""
    headers = list(scope["headers"])
    for index in range(len(headers) - 1, -1, -1):
        if headers[index][0] == b"authorization":
            del headers[index]
            break
    scope["headers"] = headers
