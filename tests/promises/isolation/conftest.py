"""The process's one receiver, made afresh for each test."""

from tests.infrastructure.receiver_fixtures import asgi, configure, proxy

__all__ = ["asgi", "configure", "proxy"]
