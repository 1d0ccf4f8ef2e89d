"""Keeps the responses that senders got: off the request's path, batched, limited, dropped under load."""

from __future__ import annotations

import json
import threading
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from inbound_webhooks.errors import DatabaseUnavailable
from inbound_webhooks.event import json_text
from inbound_webhooks.event.redaction import mask_headers, mask_values, masked_values
from inbound_webhooks.event.response import Response
from inbound_webhooks.monitoring.log_lines import get_logger
from inbound_webhooks.monitoring.loop import Loop, attempt
from inbound_webhooks.receiver.asgi.masking import TOKEN_LIKE, TOKEN_MASK
from inbound_webhooks.records.delivery import Delivery, KeptResponse
from inbound_webhooks.storage.database import transaction
from inbound_webhooks.storage.encryption import decrypt
from inbound_webhooks.storage.kept_responses import insert_responses

log = get_logger(__name__)

KEPT_BYTES = 8 * 1024
"""The beginning of a response's body that is kept."""

MAX_WAITING_BYTES = 8 * 1024 * 1024
"""Responses that wait for the next write, half of them at most of one webhook; further ones are dropped."""

ENTRY_BYTES = 1024
"""What a waiting response counts beside its texts."""

BATCH_SIZE = 200
FLUSH_SECONDS = 1.0
THREAD = "responses"


@dataclass(frozen=True)
class _Waiting:
    """A response to keep, with what its request had of credentials. The request's body is not held."""

    delivery_id: str
    webhook_id: str
    response: Response
    query_string: str
    credentials: str | None
    size: int


class ResponseLog:
    """Collects responses; :meth:`flush` writes them, or a thread between start and stop does."""

    def __init__(self, max_waiting_bytes: int = MAX_WAITING_BYTES) -> None:
        self._max_bytes = max_waiting_bytes
        self._lock = threading.Lock()
        self._waiting: deque[_Waiting] = deque()
        self._sizes: Counter[str] = Counter()
        self._size = 0
        self._loop: Loop | None = None

    def add(self, delivery: Delivery, response: Response) -> None:
        """Keep the response of a committed delivery, unless too many wait; returns at once."""
        secrets = len(delivery.query_string) + len(delivery.credentials or "")
        size = ENTRY_BYTES + len(response.body) + secrets
        with self._lock:
            of_webhook = self._sizes[delivery.webhook_id] + size
            if self._size + size > self._max_bytes or of_webhook > self._max_bytes // 2:
                return
            self._size += size
            self._sizes[delivery.webhook_id] = of_webhook
            self._waiting.append(
                _Waiting(
                    delivery.id,
                    delivery.webhook_id,
                    response,
                    delivery.query_string,
                    delivery.credentials,
                    size,
                )
            )

    def flush(self) -> bool:
        """Write a batch in one transaction; drop it where the database is unreachable.

        Returns whether more wait.
        """
        with self._lock:
            batch = [self._waiting.popleft() for _ in range(min(BATCH_SIZE, len(self._waiting)))]
            for waiting in batch:
                self._size -= waiting.size
                self._sizes[waiting.webhook_id] -= waiting.size
            if not self._waiting:
                self._sizes.clear()
        if not batch:
            return False
        try:
            _insert(batch)
        except DatabaseUnavailable:
            log.warning("responses dropped action=responses_dropped count=%d", len(batch))
        except Exception:  # noqa: BLE001 - one of them cannot be written: the others can
            for waiting in batch:
                attempt(THREAD, partial(_insert, [waiting]), None)
        return bool(self._waiting)

    def start(self) -> None:
        """Write once a second, in a thread."""
        self._loop = Loop(THREAD, self.flush, seconds=FLUSH_SECONDS, at_end=self._write_rest)
        self._loop.start()

    def stop(self) -> None:
        """Stop the thread and write the rest."""
        if self._loop is None:
            self._write_rest()
        else:
            self._loop.stop()
            self._loop.join()

    def _write_rest(self) -> None:
        while self.flush():
            pass


def _insert(batch: Sequence[_Waiting]) -> None:
    kept = list(map(_kept, batch))
    with transaction() as connection:
        insert_responses(connection, kept)


def _kept(waiting: _Waiting) -> KeptResponse:
    headers, _ = mask_headers(waiting.response.all_headers)
    headers = [
        (name, TOKEN_LIKE.sub(TOKEN_MASK, value) if name == "Location" else value) for name, value in headers
    ]
    whole = len(waiting.response.body)
    body = mask_values(waiting.response.body, _secrets(waiting), limit_bytes=KEPT_BYTES)
    return KeptResponse(
        id=waiting.delivery_id,
        headers=json_text.dump(headers),
        status=waiting.response.status,
        body=body,
        # Masks are shorter than what they replace, so a body that is not cut counts as it is kept.
        body_bytes=whole if whole > KEPT_BYTES else len(body),
    )


def _secrets(waiting: _Waiting) -> set[str]:
    """The credentials of the request, which a template may have repeated."""
    if waiting.credentials is None:
        return set()
    # Not through the cache, which is for the credentials of webhooks.
    stored = json.loads(decrypt.__wrapped__(waiting.credentials))
    return masked_values([value for _, value in stored["headers"]], stored["query"], waiting.query_string)
