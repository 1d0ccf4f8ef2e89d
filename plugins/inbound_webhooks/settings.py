"""Every option of the section [inbound_webhooks], declared once: name, type, default and help."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from datetime import datetime, timezone
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from inbound_webhooks.errors import InvalidSetting
from inbound_webhooks.event.expressions.budget import MAX_PARTS, MAX_WORK, ExpressionLimits
from inbound_webhooks.event.sizes import MAX_CONF_ITEMS, MAX_ITEMS_PER_REQUEST

SECTION = "inbound_webhooks"

BLUEPRINT_PREFIX = "/pluginsv2"
"""Path of plugins' blueprints below [api] base_url, fixed by Airflow."""


def _option(
    default: Any,
    help: str,
    *,
    minimum: float | None = None,
    sensitive: bool = False,
    unit: str = "",
    beyond: str = "",
) -> Any:
    """An option; a limit also has the unit of its value and what happens ``beyond`` it.

    The table of limits in SECURITY.md is generated from these two.
    """
    facts = {"help": help, "minimum": minimum, "sensitive": sensitive, "unit": unit, "beyond": beyond}
    return field(default=default, metadata=facts)


@dataclass(frozen=True)
class Settings:
    """Values of the section; names end with their units."""

    public_url: str = _option(
        "",
        "Address that senders call, without the trailing /webhook/…. "
        "Default: [api] base_url followed by /pluginsv2.",
    )
    max_body_bytes: int = _option(
        2 * 1024 * 1024,
        "Largest accepted body in bytes, as sent and after decompression.",
        minimum=1,
        unit="bytes of a body",
        beyond="413",
    )
    max_conf_items: int = _option(
        MAX_CONF_ITEMS,
        "Limit on values in a conf, those inside of lists and objects included; "
        "above it the response is 422, and the delivery is refused.",
        minimum=1,
        unit="values in a conf",
        beyond="422; the delivery is kept as refused",
    )
    body_timeout_seconds: float = _option(
        10.0,
        "Time in seconds for a request's whole body; when it is over the response is 408.",
        minimum=0.1,
        unit="seconds for a body",
        beyond="408",
    )
    max_concurrent_requests: int = _option(
        16,
        "Requests that one api-server worker process handles at the same time. "
        "Further requests wait, so that threads and database connections remain for Airflow's own pages.",
        minimum=1,
        unit="requests in an api-server process",
        beyond="the request waits",
    )
    gateway_max_concurrent_requests: int = _option(
        256,
        "Requests that one gateway worker process handles at the same time.",
        minimum=1,
        unit="requests in a gateway process",
        beyond="the request waits",
    )
    gateway_max_connections: int = _option(
        2_000,
        "Connections that one gateway worker process keeps open. For a further one, the oldest connection "
        "without a request is closed; where every connection has one, the further one is closed.",
        minimum=1,
        unit="connections of a gateway process",
        beyond="the oldest connection without a request is closed, else the new one",
    )
    gateway_address_connections_percent: int = _option(
        25,
        "Share of gateway_max_connections that one source address (IPv6: one /64 network) may hold, in "
        "percent. Beyond it, the address loses its own oldest connection without a request. "
        "Proxies in trusted_proxies may hold all.",
        minimum=1,
        unit="percent of these connections for one address",
        beyond="the address loses its own oldest connection without a request",
    )
    header_timeout_seconds: float = _option(
        10.0,
        "Time in seconds for the request line and headers at the gateway, counted from the opening of the "
        "connection or the first byte of the next request.",
        minimum=0.1,
        unit="seconds for a head at a gateway",
        beyond="408, or a closed connection where no byte came",
    )
    keep_alive_seconds: float = _option(
        20.0,
        "How long the gateway keeps an idle connection open, in seconds.",
        minimum=0.1,
        unit="seconds without a request at a gateway",
        beyond="the gateway closes the connection",
    )
    queue_timeout_seconds: float = _option(
        5.0,
        "Longest time in seconds that a request waits to be handled; after it the response is 503 with "
        "Retry-After.",
        minimum=0.1,
        unit="seconds in the queue",
        beyond="503 with `Retry-After`",
    )
    max_waiting_requests: int = _option(
        4,
        "Requests of one webhook that wait in one worker process while the webhook is being changed for "
        "longer than a moment; further ones get 503 with Retry-After, so that other webhooks' requests are "
        "handled.",
        minimum=1,
        unit="requests of a webhook that is being changed, in a process",
        beyond="503 with `Retry-After`",
    )
    max_buffered_bytes: int = _option(
        64 * 1024 * 1024,
        "Memory for the long bodies of all waiting requests of one worker process, in bytes; "
        "above it the response is 503 with Retry-After. Bodies up to 64 KiB are not counted.",
        minimum=1,
        unit="bytes of bodies over 64 KiB in a process",
        beyond="503 with `Retry-After`",
    )
    webhook_buffer_percent: int = _option(
        25,
        "Share of max_buffered_bytes for the requests of one webhook, in percent, but always room for one "
        "body; above it the response is 503 with Retry-After.",
        minimum=1,
        unit="percent of these bytes for one webhook",
        beyond="503 with `Retry-After` for this webhook",
    )
    address_buffer_percent: int = _option(
        25,
        "Share of max_buffered_bytes for the requests of one source address (IPv6: one /64 network), in "
        "percent, but always room for one body; above it the response is 503 with Retry-After. "
        "Requests through a proxy in trusted_proxies count for their webhook only.",
        minimum=1,
        unit="percent of these bytes for one address",
        beyond="503 with `Retry-After` for this address",
    )
    max_incomplete_requests: int = _option(
        500,
        "Requests of one webhook whose bodies one worker process waits for at the same time; above it the "
        "response is 503 with Retry-After.",
        minimum=1,
        unit="incomplete requests of a webhook in a process",
        beyond="503 with `Retry-After`",
    )
    max_requests_per_second_per_address: int = _option(
        1_000,
        "Limit on requests per second from one source address (IPv6: one /64 network), valid or not; "
        "above it the response is 429. "
        "Behind a proxy that trusted_proxies does not list, all senders share one address.",
        minimum=1,
        unit="requests a second from one address",
        beyond="429 with `Retry-After`",
    )
    max_concurrent_back_tests: int = _option(
        2,
        "Back-tests that one api-server worker process runs at the same time, at most one for each user; "
        "above it the response is 429 with Retry-After.",
        minimum=1,
        unit="back-tests in an api-server process, one for each user",
        beyond="429 with `Retry-After`",
    )
    max_concurrent_previews: int = _option(
        4,
        "Previews that one api-server worker process runs at the same time, at most half of them for each "
        "user; above it the response is 429 with Retry-After.",
        minimum=1,
        unit="previews in an api-server process, half of them for each user",
        beyond="429 with `Retry-After`",
    )
    max_concurrent_searches: int = _option(
        2,
        "Searches for a text in bodies that one api-server worker process runs at the same time, at most one "
        "for each user; above it the response is 429 with Retry-After.",
        minimum=1,
        unit="searches for a text in an api-server process, one for each user",
        beyond="429 with `Retry-After`",
    )
    max_replay_deliveries: int = _option(
        10_000,
        "Deliveries of one replay job; a job with more is not started.",
        minimum=1,
        unit="deliveries of a replay job",
        beyond="the job is not started",
    )
    max_replay_jobs: int = _option(
        10,
        "Replay jobs that run at the same time, at most half of them for each user; a further one is not "
        "started.",
        minimum=1,
        unit="running replay jobs, half of them for each user",
        beyond="the job is not started",
    )
    max_listeners: int = _option(
        10,
        "Webhooks whose pages listen for requests at the same time; for a further one the page says to try "
        "again later.",
        minimum=1,
        unit="webhooks that listen for requests",
        beyond="the page says to try again later",
    )
    listening_seconds: float = _option(
        120.0,
        "How long a webhook's page listens for requests, in seconds. What it has captured is shown for as "
        "long, then it is deleted.",
        minimum=1,
        unit="seconds for which a webhook listens, and for which a captured request is shown",
        beyond="it stops to listen; the request is deleted",
    )
    max_captured_requests: int = _option(
        20,
        "Requests that a webhook captures while it listens; further ones are answered as ever, and not "
        "shown.",
        minimum=1,
        unit="requests that a listening webhook captures",
        beyond="the request is not shown",
    )
    max_captured_bytes: int = _option(
        256 * 1024,
        "Largest body of a captured request in bytes; a larger one is shown without its body.",
        minimum=1,
        unit="bytes of the body of a captured request",
        beyond="the request is shown without its body",
    )
    max_waiters: int = _option(
        500,
        "Responses that wait for the result of a run in one worker process; a further one is sent at once, "
        "as 202 with the URL of the result.",
        minimum=1,
        unit="responses that wait for a run in a process",
        beyond="202 at once, with the URL of the result",
    )
    webhook_waiters_percent: int = _option(
        50,
        "Share of max_waiters for the responses of one webhook, in percent; a further one is sent at once.",
        minimum=1,
        unit="percent of these responses for one webhook",
        beyond="202 at once for this webhook",
    )
    rate_limit_storage_uri: str = _option(
        "memory://",
        "Where requests are counted, as a URI of the limits library: memory:// counts in each process, "
        "redis://… across all of them. While Redis is unreachable, nothing is counted.",
        sensitive=True,
    )
    trusted_proxies: str = _option(
        "",
        "Comma-separated CIDR blocks of proxies whose X-Forwarded-For contains the sender's address.",
    )
    max_backlog: int = _option(
        100_000,
        "Limit on deliveries that wait for their run; above it the response is 429 with Retry-After.",
        minimum=1,
        unit="waiting deliveries",
        beyond="429 with `Retry-After`",
    )
    webhook_backlog_percent: int = _option(
        50,
        "Share of max_backlog for the waiting deliveries of one webhook, in percent; above it the response "
        "is 429 with Retry-After.",
        minimum=1,
        unit="percent of these deliveries for one webhook",
        beyond="429 with `Retry-After` for this webhook",
    )
    max_queued_runs: int = _option(
        1_000,
        "Queued runs of all origins that Airflow's scheduler could start; while there are so many, "
        "dispatchers create no further runs, and deliveries wait. 0 switches the limit off.",
        minimum=0,
        unit="queued runs that the scheduler could start",
        beyond="deliveries wait",
    )
    dag_queue_percent: int = _option(
        50,
        "Share of max_queued_runs for the queued runs of one DAG, in percent.",
        minimum=1,
        unit="percent of these runs for one DAG",
        beyond="deliveries for this DAG wait",
    )
    max_held: int = _option(
        100_000,
        "Limit on deliveries of one webhook that are held while it is on hold; above it the response is 429 "
        "with Retry-After.",
        minimum=1,
        unit="held deliveries of a webhook",
        beyond="429 with `Retry-After` for this webhook",
    )
    max_items_per_request: int = _option(
        MAX_ITEMS_PER_REQUEST,
        "Limit on the items of a request that a webhook splits into deliveries (each); above it the response "
        "is 422, and the delivery is refused.",
        minimum=1,
        unit="items of a list that becomes deliveries",
        beyond="422; the delivery is kept as refused",
    )
    max_grouped_deliveries: int = _option(
        100_000,
        "Limit on deliveries of one webhook that wait for their batch, for a quiet period or for their turn; "
        "above it the response is 429 with Retry-After.",
        minimum=1,
        unit="deliveries of a webhook that wait for others of their group",
        beyond="429 with `Retry-After` for this webhook",
    )
    max_batch_bytes: int = _option(
        1024 * 1024,
        "Limit on the confs of a batch together, in bytes; a batch with more is closed earlier, and a longer "
        "conf has a batch of its own.",
        minimum=1,
        unit="bytes of the conf of a batch",
        beyond="the batch is closed earlier",
    )
    max_refused_bytes_per_minute: int = _option(
        8 * 1024 * 1024,
        "Bytes per minute that the refused and filtered deliveries of one webhook may store, counted in each "
        "worker process; above it they are stored without their bodies. The response is the same.",
        minimum=1,
        unit="bytes of refused and filtered deliveries of a webhook a minute, in a process",
        beyond="they are stored without their bodies",
    )
    max_refused_without_body_per_minute: int = _option(
        60,
        "Deliveries per minute that are stored without their bodies because of max_refused_bytes_per_minute; "
        "further ones are only counted, as the metric not_stored. The response is the same, or 429 where it "
        "would be 2xx for a refused delivery.",
        minimum=0,
        unit="deliveries without their bodies of a webhook a minute, in a process",
        beyond="they are only counted",
    )
    max_expression_parts: int = _option(
        MAX_PARTS,
        "Limit on the size of all expressions of a webhook together, in parts: names, operators, brackets, "
        "texts and spaces between them. A larger webhook is refused when it is saved; the response of one "
        "that was stored before is 503.",
        minimum=1,
        unit="parts of all expressions of a webhook",
        beyond="the definition is not saved; a stored one responds with 503",
    )
    max_expression_work: int = _option(
        MAX_WORK,
        "Limit on the work of all expressions of a webhook on one request, in units of at most 4 ns; above "
        "it the request is refused with 422.",
        minimum=1,
        unit="units of work of all expressions on one request, at most 4 ns each",
        beyond="422; the delivery is kept as refused",
    )
    docs_url: str = _option(
        "",
        "Address of this documentation for the help links of the pages, with {page} where the name of a page "
        "stands, such as https://docs.example.com/webhooks/{page}.md. Default: the copy in the package.",
    )
    grant_plugins_permission: bool = _option(
        True,
        "Whether the api-server once grants FabAuthManager's built-in roles that may see webhooks the "
        "permission can_read on Plugins, without which Airflow shows their users no page of any plugin. "
        "A permission that an administrator revokes afterwards stays revoked.",
    )
    dispatcher_enabled: bool = _option(
        True,
        "Whether each api-server worker process runs a dispatcher. "
        "Set it to False where `airflow webhooks dispatcher` runs as a process of its own.",
    )
    dispatcher_batch_size: int = _option(
        20, "Deliveries that the dispatcher turns into DAG runs in one transaction.", minimum=1
    )
    dispatcher_batch_bytes: int = _option(
        2 * 1024 * 1024,
        "Limit on the confs of these deliveries together, in bytes; "
        "a delivery with a larger conf gets a transaction of its own.",
        minimum=1,
        unit="bytes of confs in a transaction of the dispatcher",
        beyond="the next transaction has the others",
    )
    dispatcher_poll_seconds: float = _option(
        1.0,
        "How often the dispatcher looks for deliveries accepted by other processes, in seconds.",
        minimum=0.05,
    )
    outcome_poll_seconds: float = _option(
        2.0, "How often the dispatcher checks whether deliveries' runs have ended, in seconds.", minimum=0.1
    )
    wait_settle_seconds: float = _option(
        10.0,
        "How long a task has to wait before the dispatcher resumes it, in seconds. Airflow's scheduler fails "
        "a task that is queued again before it has learned that the worker of the wait has exited. Raise it "
        "where workers upload logs for longer, or the scheduler's loop takes longer.",
        minimum=0,
    )
    digest_window_seconds: float = _option(
        300.0,
        "After a mail about a failure, further failures of the same webhook within this time, in seconds, "
        "are collected in one mail. 0 sends a mail for each failure.",
        minimum=0,
    )
    email_subject: str = _option(
        "",
        "Jinja template for the subject of mails about outcomes of runs. Default: a short subject.",
    )
    email_html: str = _option(
        "", "Jinja template for the HTML of these mails; values are escaped. Default: a table with links."
    )

    operator_emails: str = _option(
        "",
        "Comma-separated mail addresses to notify when a new version of a DAG no longer fits the mapping of "
        "a webhook without recipients for failures.",
    )
    retention_days: float = _option(
        30.0,
        "Deliveries, rejections and mails older than this are deleted. Unfinished ones are kept, and "
        "deduplication keys are kept for at least 7 days.",
        minimum=0.01,
    )
    activity_retention_days: float = _option(
        14.0,
        "Hourly counts of deliveries older than this are deleted, independently of retention_days.",
        minimum=1,
    )
    store_bodies: bool = _option(
        True,
        "Whether deliveries keep the bodies of their requests. Without its body, a delivery can only be "
        "replayed with its original conf.",
    )

    @classmethod
    def load(cls) -> Settings:
        """Read the section from Airflow's configuration: environment, file, defaults.

        :raises InvalidSetting: a value has the wrong type or is out of range
        """
        return cls(**{option.name: _read(option) for option in fields(cls)})


def read_option(name: str) -> Any:
    """One option of the section, whatever the values of the others are.

    :raises InvalidSetting: its value has the wrong type or is out of range
    """
    (option,) = (option for option in fields(Settings) if option.name == name)
    return _read(option)


def public_url(settings: Settings) -> str:
    """Base of the URLs that senders call: the setting, else Airflow's own address."""
    if settings.public_url:
        return settings.public_url.rstrip("/")
    return airflow_url() + BLUEPRINT_PREFIX


def configured_public_url() -> str:
    """Base of the URLs that senders call; "" where neither option says it.

    For processes that do not serve the endpoint: none of them can assume that it is on their own host.
    """
    from airflow.configuration import conf

    if stated := str(read_option("public_url")).rstrip("/"):
        return stated
    base = str(conf.get("api", "base_url", fallback="") or "").rstrip("/")
    return base + BLUEPRINT_PREFIX if base else ""


def docs_page(name: str) -> str:
    """The URL of a page of the documentation; "" without the option docs_url."""
    (option,) = (option for option in fields(Settings) if option.name == "docs_url")
    url = str(_read(option))
    return url.replace("{page}", name) if url.startswith(("https://", "http://", "/")) else ""


def expression_limits() -> ExpressionLimits:
    """The limits on a webhook's expressions.

    :raises InvalidSetting: one of the two options has the wrong type or is out of range
    """
    options = {option.name: option for option in fields(Settings)}
    return ExpressionLimits(
        parts=_read(options["max_expression_parts"]), work=_read(options["max_expression_work"])
    )


def airflow_url() -> str:
    """Airflow's own address, without a trailing slash."""
    from airflow.configuration import conf

    base = conf.get("api", "base_url", fallback="") or f"http://localhost:{conf.getint('api', 'port')}"
    return str(base).rstrip("/")


def base_path() -> str:
    """Path of Airflow's own address, without a trailing slash."""
    from airflow.configuration import conf

    return urlsplit(conf.get("api", "base_url", fallback="")).path.rstrip("/")


def in_default_time_zone(at: datetime) -> datetime:
    """A time in Airflow's default time zone."""
    from airflow.configuration import conf

    name = conf.get("core", "default_timezone", fallback="utc").strip()
    if name.lower() == "system":
        return at.astimezone()
    return at.astimezone(timezone.utc if name.lower() == "utc" else ZoneInfo(name))


def option_descriptions() -> dict[str, dict[str, Any]]:
    """The options as ``config.<section>.options`` of Airflow's provider info."""
    return {
        option.name: {
            "description": option.metadata["help"],
            "version_added": "0.1.0",
            "type": _TYPES[type(option.default)][0],
            "example": None,
            "sensitive": option.metadata["sensitive"],
            # str of the default, because Airflow's configuration holds text.
            "default": str(option.default),
        }
        for option in fields(Settings)
    }


def _read(option: Any) -> Any:
    # Imported here: Airflow's configuration itself loads this module, for the provider's options.
    from airflow.configuration import conf

    text = conf.get(SECTION, option.name, fallback=str(option.default)).strip()
    _, parse, expected = _TYPES[type(option.default)]
    minimum = option.metadata["minimum"]
    try:
        value = parse(text)
    except (KeyError, ValueError):
        raise InvalidSetting(option.name, text, expected) from None
    # A limit of infinity would be no limit, and time.sleep rejects it.
    if minimum is not None and not minimum <= value < float("inf"):
        raise InvalidSetting(option.name, text, f"{expected} of at least {minimum}")
    return value


def _parse_boolean(text: str) -> bool:
    # The spellings that Airflow's own getboolean accepts.
    return {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}[text.lower()]


_TYPES: dict[type, tuple[str, Callable[[str], Any], str]] = {
    str: ("string", str, "text"),
    bool: ("boolean", _parse_boolean, "True or False"),
    int: ("integer", int, "a whole number"),
    float: ("float", float, "a number"),
}
