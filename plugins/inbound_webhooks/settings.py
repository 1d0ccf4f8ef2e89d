"""Every option of the section [inbound_webhooks], once: name, type, default and help."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any
from urllib.parse import urlsplit

from inbound_webhooks.errors import InvalidSetting

SECTION = "inbound_webhooks"

BLUEPRINT_PREFIX = "/pluginsv2"
"""Where Airflow serves the blueprints of plugins, below the path of [api] base_url."""


def _option(default: Any, help: str, *, minimum: float | None = None, sensitive: bool = False) -> Any:
    return field(default=default, metadata={"help": help, "minimum": minimum, "sensitive": sensitive})


@dataclass(frozen=True)
class Settings:
    """The section's values; units stand in the names."""

    public_url: str = _option(
        "",
        "Address that senders use, without the trailing /webhook/…. "
        "Empty: [api] base_url followed by /pluginsv2.",
    )
    max_body_bytes: int = _option(
        2 * 1024 * 1024,
        "Largest body that is accepted, in bytes, as sent and after decompression.",
        minimum=1,
    )
    body_timeout_seconds: float = _option(
        10.0, "Time a sender has for its whole body, in seconds; after it the answer is 408.", minimum=0.1
    )
    max_concurrent_requests: int = _option(
        8,
        "Requests that one api-server worker process works on at the same time. "
        "Others wait, so that Airflow's own pages keep threads and database connections.",
        minimum=1,
    )
    gateway_max_concurrent_requests: int = _option(
        256, "Requests that one gateway worker process works on at the same time.", minimum=1
    )
    gateway_max_connections: int = _option(
        2_000,
        "Connections that one gateway worker process keeps open; further ones are closed at once.",
        minimum=1,
    )
    header_timeout_seconds: float = _option(
        10.0,
        "Time a sender has for the request line and headers at the gateway, in seconds, from the opening of "
        "the connection or the first byte of the next request.",
        minimum=0.1,
    )
    keep_alive_seconds: float = _option(
        20.0, "How long the gateway keeps a connection open on which nothing comes, in seconds.", minimum=0.1
    )
    queue_timeout_seconds: float = _option(
        5.0,
        "Time a request may wait for its turn, in seconds; after it the answer is 503 with Retry-After.",
        minimum=0.1,
    )
    max_buffered_bytes: int = _option(
        64 * 1024 * 1024,
        "Memory that the bodies of all waiting requests of one worker process may take, in bytes; "
        "above it the answer is 503 with Retry-After.",
        minimum=1,
    )
    max_requests_per_second_per_address: int = _option(
        1_000,
        "Requests a second that one source address (of IPv6: one /64 network) may send, right or wrong; "
        "above it the answer is 429. "
        "Behind a proxy that trusted_proxies does not name, all senders have one address.",
        minimum=1,
    )
    rate_limit_storage_uri: str = _option(
        "memory://",
        "Where requests are counted, an address of the limits library: memory:// counts in each process, "
        "redis://… for all together. While Redis is away nothing is counted.",
        sensitive=True,
    )
    trusted_proxies: str = _option(
        "",
        "CIDR blocks, with commas between them, of proxies whose X-Forwarded-For tells the sender's address.",
    )
    max_backlog: int = _option(
        100_000,
        "Deliveries that may wait for their run; above it the answer is 429 with Retry-After.",
        minimum=1,
    )
    dispatcher_enabled: bool = _option(
        True,
        "Whether each api-server worker process runs a dispatcher. "
        "Turn it off where `airflow webhooks dispatcher` runs on its own.",
    )
    dispatcher_batch_size: int = _option(
        20, "Deliveries that the dispatcher turns into DAG runs in one transaction.", minimum=1
    )
    dispatcher_poll_seconds: float = _option(
        1.0,
        "How often the dispatcher looks for deliveries that other processes accepted, in seconds.",
        minimum=0.05,
    )
    outcome_poll_seconds: float = _option(
        2.0, "How often the dispatcher looks how the runs of deliveries ended, in seconds.", minimum=0.1
    )
    digest_window_seconds: float = _option(
        300.0,
        "After a mail about a failure, further failures of the same webhook within this time, in seconds, "
        "are told in one mail at its end; 0: a mail for each.",
        minimum=0,
    )
    email_subject: str = _option(
        "",
        "Jinja template of the subject of mails about runs that succeeded or failed. Empty: a short one.",
    )
    email_html: str = _option(
        "", "Jinja template of the HTML of these mails; values are escaped. Empty: a table with links."
    )

    operator_emails: str = _option(
        "",
        "Addresses, with commas between them, that are told when a new version of a DAG breaks the mapping "
        "of a webhook that names nobody for its failures.",
    )
    retention_days: float = _option(
        30.0,
        "Deliveries, rejections and mails older than this are deleted. Those that are not finished stay, "
        "and deduplication keys are remembered for 7 days at least.",
        minimum=0.01,
    )
    store_bodies: bool = _option(
        True,
        "Whether a delivery keeps the body of its request. Without one it is replayed with its conf only.",
    )

    @classmethod
    def load(cls) -> Settings:
        """Read the section from Airflow's configuration (file, environment, defaults).

        :raises InvalidSetting: a value has the wrong type or is out of range
        """
        return cls(**{option.name: _read(option) for option in fields(cls)})


def public_url(settings: Settings) -> str:
    """What stands before ``/webhook/…``: the setting, else Airflow's own address."""
    if settings.public_url:
        return settings.public_url.rstrip("/")
    return airflow_url() + BLUEPRINT_PREFIX


def airflow_url() -> str:
    """Airflow's own address, without a slash at its end."""
    from airflow.configuration import conf

    base = conf.get("api", "base_url", fallback="") or f"http://localhost:{conf.getint('api', 'port')}"
    return str(base).rstrip("/")


def base_path() -> str:
    """The path of Airflow's own address, without a slash at its end."""
    from airflow.configuration import conf

    return urlsplit(conf.get("api", "base_url", fallback="")).path.rstrip("/")


def option_descriptions() -> dict[str, dict[str, Any]]:
    """The options in the shape of ``config.<section>.options`` of Airflow's provider info."""
    return {
        option.name: {
            "description": option.metadata["help"],
            "version_added": "0.1.0",
            "type": _TYPES[type(option.default)][0],
            "example": None,
            "sensitive": option.metadata["sensitive"],
            "default": str(option.default),
        }
        for option in fields(Settings)
    }


def _read(option: Any) -> Any:
    from airflow.configuration import conf

    text = conf.get(SECTION, option.name, fallback=str(option.default)).strip()
    _, parse, expected = _TYPES[type(option.default)]
    minimum = option.metadata["minimum"]
    try:
        value = parse(text)
    except (KeyError, ValueError):
        raise InvalidSetting(option.name, text, expected) from None
    if minimum is not None and not minimum <= value < float("inf"):
        raise InvalidSetting(option.name, text, f"{expected} of at least {minimum}")
    return value


def _parse_boolean(text: str) -> bool:
    return {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}[text.lower()]


_TYPES: dict[type, tuple[str, Callable[[str], Any], str]] = {
    str: ("string", str, "text"),
    bool: ("boolean", _parse_boolean, "True or False"),
    int: ("integer", int, "a whole number"),
    float: ("float", float, "a number"),
}
