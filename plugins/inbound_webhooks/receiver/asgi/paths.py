"""Which paths are the endpoint's, behind proxies that keep, strip or add a prefix."""

from __future__ import annotations

import re

from inbound_webhooks.receiver.asgi.masking import TOKEN_LIKE, TOKEN_MASK, mask_tokens
from inbound_webhooks.receiver.asgi.messages import Scope
from inbound_webhooks.urls import RESULT_PATH, WAIT_PATH, WEBHOOK_PATH

_SLASHES = re.compile(r"/+")
_PATHS = "|".join(path.pattern for path in (WEBHOOK_PATH, RESULT_PATH, WAIT_PATH))
_ENDPOINT_LIKE = re.compile(rf"/webhook/(?:{_PATHS})/$", re.IGNORECASE)


class EndpointPaths:
    """Paths below a prefix, with or without the application's root path, and below another prefix."""

    def __init__(self, prefix: str, other_prefix: str) -> None:
        self._prefix = prefix + "/"
        self._other_prefix = other_prefix + "/"

    def enter(self, scope: Scope) -> str | None:
        """The path behind the prefix, whose token is now masked in the scope; None for a path of Airflow's.

        The scope gets the path that the application routes, whatever prefix a proxy has left. The result is
        empty, and so never found, for a path that only looks like the endpoint's: Flask takes ``//webhook``
        for ``/webhook``, and to a GET below an unknown prefix Airflow responds with its start page.
        """
        path, root = scope["path"], scope.get("root_path", "")
        below_root = path[len(root) :] if root and path.startswith(root + "/") else path
        found = ""
        if below_root.startswith(self._prefix):
            found = below_root[len(self._prefix) :]
        elif path.startswith(self._other_prefix):
            found = path[len(self._other_prefix) :]
        if found:
            webhook_id, _, _ = found.partition("/")
            masked = f"{root}{self._prefix}{TOKEN_LIKE.sub(TOKEN_MASK, webhook_id)}/{TOKEN_MASK}"
            scope["path"], scope["raw_path"] = masked, masked.encode("utf-8", "surrogateescape")
            return found
        if "webhook" in path.lower() and self._is_similar(path, root):
            mask_tokens(scope)
            return ""
        return None

    def _is_similar(self, path: str, root: str) -> bool:
        """Whether it is the endpoint's with other slashes, or a webhook's path below another prefix."""
        similar = _SLASHES.sub("/", path + "/")
        prefixes = (self._prefix, root + self._prefix, self._other_prefix)
        return similar.startswith(prefixes) or _ENDPOINT_LIKE.search(similar) is not None
