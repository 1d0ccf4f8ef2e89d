"""Fetches a vendor's public key: https, no redirect, no private address, limits on size and time."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from contextlib import closing
from urllib.parse import urlsplit

import urllib3

from inbound_webhooks.errors import KeyFetchFailed

TIMEOUT_SECONDS = 5.0
MAX_KEY_BYTES = 64 * 1024
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
    ) -> None:
        self._resolve = resolve
        self._allows = allows
        self._port = port
        self._ca_file = ca_file

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
            addresses = self._resolve(host)
            # One private address among public ones is refused too: the server would choose which is used.
            if not addresses or not all(self._allows(address) for address in addresses):
                raise KeyFetchFailed(f"{host} has an address outside the public internet.")
            return self._get(host, parts.path, addresses[0])
        except (OSError, urllib3.exceptions.HTTPError) as error:
            raise KeyFetchFailed(f"{host} cannot be reached ({type(error).__name__}).") from None

    def _get(self, host: str, path: str, address: str) -> str:
        # Connects to the checked address, and verifies the certificate for the name.
        with urllib3.HTTPSConnectionPool(
            address,
            self._port,
            server_hostname=host,
            cert_reqs="CERT_REQUIRED",
            ca_certs=self._ca_file,
            timeout=urllib3.Timeout(total=TIMEOUT_SECONDS),
            retries=False,
        ) as pool:
            # The body is read below, up to a limit; preloading it would read all of it.
            response = pool.request(
                "GET", path, headers={"Host": host}, redirect=False, preload_content=False
            )
            with closing(response):
                if response.status != 200:
                    raise KeyFetchFailed(f"{host} answered {response.status}.")
                # One byte more than allowed is read, to recognise content that is too long.
                content = response.read(MAX_KEY_BYTES + 1)
        if len(content) > MAX_KEY_BYTES:
            raise KeyFetchFailed(f"{host} sent more than {MAX_KEY_BYTES} bytes.")
        return str(content.decode("utf-8", "replace"))
