"""One GET of a vendor's public key: https, no redirect, no private address, small and soon."""

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
    """The addresses of a host name.

    :raises OSError: it has none
    """
    found = socket.getaddrinfo(host, HTTPS_PORT, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


def is_public(address: str) -> bool:
    """Whether an address is one of the internet: not private, loopback, link-local or reserved."""
    ip = ipaddress.ip_address(address)
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return (mapped or ip).is_global and not (mapped or ip).is_multicast


class KeyFetch:
    """Fetches from addresses whose host and path the caller has checked.

    The connection goes to the address that was looked at, so that no second answer of the name server
    leads elsewhere; the certificate is checked for the name.
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
        """The text behind a URL.

        :raises KeyFetchFailed: says why; never what came
        """
        parts = urlsplit(url)
        host = parts.hostname or ""
        if parts.scheme != "https" or parts.netloc != host:
            raise KeyFetchFailed("The address is not https with a plain host name.")
        try:
            return self._get(host, parts.path, self._address(host))
        except (OSError, urllib3.exceptions.HTTPError) as error:
            raise KeyFetchFailed(f"{host} cannot be reached ({type(error).__name__}).") from None

    def _address(self, host: str) -> str:
        addresses = self._resolve(host)
        if not addresses or not all(self._allows(address) for address in addresses):
            raise KeyFetchFailed(f"{host} has an address that is not one of the internet.")
        return addresses[0]

    def _get(self, host: str, path: str, address: str) -> str:
        with urllib3.HTTPSConnectionPool(
            address,
            self._port,
            server_hostname=host,
            cert_reqs="CERT_REQUIRED",
            ca_certs=self._ca_file,
            timeout=urllib3.Timeout(total=TIMEOUT_SECONDS),
            retries=False,
        ) as pool:
            response = pool.request(
                "GET", path, headers={"Host": host}, redirect=False, preload_content=False
            )
            with closing(response):
                if response.status != 200:
                    raise KeyFetchFailed(f"{host} answered {response.status}.")
                content = response.read(MAX_KEY_BYTES + 1)
        if len(content) > MAX_KEY_BYTES:
            raise KeyFetchFailed(f"{host} sent more than {MAX_KEY_BYTES} bytes.")
        return str(content.decode("utf-8", "replace"))
