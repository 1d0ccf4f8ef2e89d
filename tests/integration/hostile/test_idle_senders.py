"""Senders that begin and do not go on: they are let wait, and keep nobody else out."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack

from tests.integration.hostile.case import JSON, Case, head, post
from tests.integration.hostile.site import Site

SENDERS = 150
SOON_SECONDS = 2


def test_senders_in_the_middle_of_a_head_or_a_body_keep_no_other_one_out(site: Site):
    top = head(b"POST", site.target.path(), JSON, b"Content-Length: 100")
    with ExitStack() as held:
        for number in range(SENDERS):
            connection = held.enter_context(socket.create_connection(("127.0.0.1", site.endpoint.port)))
            connection.sendall([b"", top[:50], top + b"{"][number % 3])
        started = time.monotonic()
        (reply,) = site.send(Case([post(site.target.path(), b"[1]")], 202))
        assert reply.status == 202
        assert time.monotonic() - started < SOON_SECONDS
    assert [row.body for row in site.stored()] == [b"[1]"]
