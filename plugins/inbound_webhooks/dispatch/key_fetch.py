"""Fetches a vendor's public key: https, no redirect, no private address, limits on size and time."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import urlsplit

import httpx

from inbound_webhooks.errors import KeyFetchFailed

FETCH_SECONDS = 5.0
"""Time for a whole fetch, however slowly the server sends: look-up, connection, TLS, headers and content."""

MAX_KEY_BYTES = 64 * 1024
MAX_LOOKUPS = 4
"""Look-ups of host names that may be under way: the system's own time-out is longer than a fetch's."""

HTTPS_PORT = 443

Resolve = Callable[[str], list[str]]


def addresses_of(host: str) -> list[str]:
    """Resolve a host name.

    :raises OSError: it has no address
    """
    found = socket.getaddrinfo(host, HTTPS_PORT, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


def is_public(address: str) -> bool:
    """Whether an address is on the public internet: not private, loopback, link-local or reserved."""
    ip = ipaddress.ip_address(address)
    # An IPv4 address inside IPv6 is judged by its IPv4 range.
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return (mapped or ip).is_global and not (mapped or ip).is_multicast


class KeyFetch:
    """Fetches URLs whose host and path the caller has checked.

    It connects to the address that was checked, not to the name: a second look-up could return a private
    address (DNS rebinding). The certificate is still verified for the name.
    """

    def __init__(
        self,
        *,
        resolve: Resolve = addresses_of,
        allows: Callable[[str], bool] = is_public,
        port: int = HTTPS_PORT,
        ca_file: str | None = None,
        seconds: float = FETCH_SECONDS,
    ) -> None:
        self._resolve = resolve
        self._allows = allows
        self._port = port
        self._ca_file = ca_file
        self._seconds = seconds
        self._lookups = threading.BoundedSemaphore(MAX_LOOKUPS)

    def __call__(self, url: str) -> str:
        """Return the text at a URL.

        :raises KeyFetchFailed: gives the reason, never the content
        """
        parts = urlsplit(url)
        host = parts.hostname or ""
        # A port, user or password would also be part of netloc.
        if parts.scheme != "https" or parts.netloc != host:
            raise KeyFetchFailed("The address is not https with a plain host name.")
        try:
            # An event loop, since its tasks can be cancelled at any point: a time-out of a socket begins
            # anew with every byte.
            return asyncio.run(asyncio.wait_for(self._fetch(host, parts.path), self._seconds))
        except (TimeoutError, asyncio.TimeoutError):
            raise KeyFetchFailed(f"{host} took longer than {self._seconds:g} seconds.") from None
        except (OSError, UnicodeError, httpx.HTTPError) as error:
            raise KeyFetchFailed(f"{host} cannot be reached ({type(error).__name__}).") from None

    async def _fetch(self, host: str, path: str) -> str:
        loop = asyncio.get_running_loop()
        until = loop.time() + self._seconds
        if not self._lookups.acquire(blocking=False):
            raise KeyFetchFailed("Earlier look-ups of host names have not ended yet.")
        found: asyncio.Future[list[str]] = loop.create_future()
        # A daemon of its own, which is abandoned where it takes too long: asyncio waits for the threads of
        # its executor, which would be no time-out.
        threading.Thread(target=self._look_up, args=(host, loop, found), daemon=True).start()
        addresses = await found
        # One private address among public ones is refused too: the server would choose which is used.
        if not addresses or not all(self._allows(address) for address in addresses):
            raise KeyFetchFailed(f"{host} has an address outside the public internet.")
        return await self._get(host, path, addresses[0], until=until)

    def _look_up(self, host: str, loop: asyncio.AbstractEventLoop, found: asyncio.Future[list[str]]) -> None:
        try:
            addresses: list[str] | Exception = self._resolve(host)
        except (OSError, UnicodeError) as error:
            addresses = error
        finally:
            self._lookups.release()
        with suppress(RuntimeError):  # the fetch has ended, and its loop is closed
            loop.call_soon_threadsafe(_settle, found, addresses)

    async def _get(self, host: str, path: str, address: str, *, until: float) -> str:
        # Connects to the checked address, and verifies the certificate for the name.
        context = ssl.create_default_context(cafile=self._ca_file)
        # Connection and TLS get a third each, and end by themselves: httpcore leaves a connection open whose
        # handshake is cancelled.
        connect_seconds = max(until - asyncio.get_running_loop().time(), 0.01) / 3
        timeout = httpx.Timeout(self._seconds, connect=connect_seconds)
        place = f"[{address}]" if ":" in address else address
        async with (
            httpx.AsyncClient(verify=context, trust_env=False, timeout=timeout) as client,
            client.stream(
                "GET",
                f"https://{place}:{self._port}{path}",
                headers={"Host": host, "Accept-Encoding": "identity"},
                extensions={"sni_hostname": host},
            ) as response,
        ):
            if response.status_code != 200:
                raise KeyFetchFailed(f"{host} answered {response.status_code}.")
            return await _content(response, host)


async def _content(response: httpx.Response, host: str) -> str:
    content = bytearray()
    # As sent: a compressed content could be any number of times as large.
    async for part in response.aiter_raw():
        content += part
        if len(content) > MAX_KEY_BYTES:
            raise KeyFetchFailed(f"{host} sent more than {MAX_KEY_BYTES} bytes.")
    return content.decode("utf-8", "replace")


def _settle(found: asyncio.Future[list[str]], addresses: list[str] | Exception) -> None:
    if found.done():
        return
    if isinstance(addresses, Exception):
        found.set_exception(addresses)
    else:
        found.set_result(addresses)
