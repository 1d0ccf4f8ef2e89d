"""The process's one receiver, made afresh for each test."""

from tests.infrastructure.receiver_fixtures import asgi, configure, orders, proxy, sqlite_orders

__all__ = ["asgi", "configure", "orders", "proxy", "sqlite_orders"]
