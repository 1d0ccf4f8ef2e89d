"""Writes the table of limits in SECURITY.md: ``python dev/security_limits.py``.

Options are limits where `settings.py` says what happens beyond them. The limits that no option changes are
listed here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

from inbound_webhooks.airflow_bridge.check_process import CHECK_MILLISECONDS, MAX_WAITING
from inbound_webhooks.deliveries.backtest import MAX_DELIVERIES
from inbound_webhooks.dispatch.dispatcher import CHECK_SECONDS
from inbound_webhooks.dispatch.key_fetch import FETCH_SECONDS, MAX_KEY_BYTES
from inbound_webhooks.dispatch.targets.event_matching import COMPARE_SECONDS, MAX_LOOK_BACK_EVENTS
from inbound_webhooks.dispatch.targets.wait_registration import MAX_CONDITIONS, MAX_PATH_LISTS
from inbound_webhooks.event.conf.mapping import MAX_CONF_CHARS
from inbound_webhooks.event.conf.violations import MAX_COMPARED_ITEMS
from inbound_webhooks.event.content_encoding import MAX_GZIP_MEMBERS
from inbound_webhooks.event.expressions.allow_list import MAX_NESTING
from inbound_webhooks.event.expressions.engine import MAX_SOURCE_CHARS
from inbound_webhooks.event.forms import MAX_FORM_FIELDS
from inbound_webhooks.event.json_text import MAX_DEPTH, MAX_INTEGER_DIGITS
from inbound_webhooks.event.response import MAX_RESPONSE_CHARS
from inbound_webhooks.event.values import MAX_TEXT_CHARS
from inbound_webhooks.files.yaml_loader import MAX_DEPTH as MAX_FILE_DEPTH
from inbound_webhooks.files.yaml_loader import MAX_EXPANDED_CHARS, MAX_FILE_BYTES
from inbound_webhooks.receiver.asgi.guard import SLOW_PART
from inbound_webhooks.receiver.decisions import (
    COMMON_PAUSE_FACTOR,
    CONCURRENT_DECISIONS,
    PAUSE_FACTOR,
)
from inbound_webhooks.receiver.gateway.http_protocol import MAX_HEAD_BYTES
from inbound_webhooks.receiver.limits import RESERVED_PERCENT
from inbound_webhooks.receiver.rejections import MAX_PER_SECOND
from inbound_webhooks.receiver.response_log import KEPT_BYTES, MAX_WAITING_BYTES
from inbound_webhooks.records.activity import MAX_HOURS
from inbound_webhooks.settings import Settings
from inbound_webhooks.storage.activity import MOST_COUNTED, MOST_SUMMED, MOST_TIMED
from inbound_webhooks.web.exporting import MOST_EXPORTED

SECURITY = Path(__file__).resolve().parent.parent / "SECURITY.md"
BEGIN, END = "<!-- limits: begin; written by dev/security_limits.py -->", "<!-- limits: end -->"
HEAD = ("limit", "value", "beyond it")

REFUSED = "422; the delivery is kept as refused"
REFUSED_FILE = "the file is refused, with the line"
NOT_SAVED = "the definition is not saved"
NOT_KEPT = "the response is sent and not kept"
UNSET = "none unless set"
WAIT_FAILS = "the task fails with a sentence"


@dataclass(frozen=True)
class Limit:
    """A row of the table."""

    name: str
    value: object
    unit: str
    beyond: str

    @property
    def cells(self) -> tuple[str, ...]:
        """The columns as text."""
        number = f"{self.value:,g}" if isinstance(self.value, float) else self.value
        number = f"{number:,}" if isinstance(number, int) else number
        return self.name, f"{number} {self.unit}".strip(), self.beyond


OF_A_WEBHOOK = (
    Limit("`max_per_second`", UNSET, "", "429 with `Retry-After`"),
    Limit("`max_backlog` of a webhook", UNSET, "", "429 with `Retry-After`"),
    Limit("`max_active_runs`", UNSET, "", "the delivery waits"),
)
FIXED = (
    Limit("slots of an api-server or gateway process for one webhook", "half", "", "the request waits"),
    Limit(
        "slots for requests of webhooks that are known to be slow",
        100 // SLOW_PART,
        "percent of them",
        "the request waits",
    ),
    Limit("long decisions at the same time in a process", CONCURRENT_DECISIONS, "", "the request waits"),
    Limit("such decisions of one webhook", CONCURRENT_DECISIONS // 2, "", "the request waits"),
    Limit(
        "processor time of costly decisions of one webhook",
        100 // (1 + PAUSE_FACTOR),
        "percent of one processor",
        "the request waits",
    ),
    Limit(
        "processor time of costly decisions in a process",
        100 // (1 + COMMON_PAUSE_FACTOR),
        "percent of one processor",
        "the request waits",
    ),
    Limit(
        "waiting deliveries of one webhook while `max_backlog` is reached",
        RESERVED_PERCENT,
        "percent of it",
        "429 with `Retry-After`",
    ),
    Limit("request line and headers at a gateway", MAX_HEAD_BYTES, "bytes", "431"),
    Limit("fields of a form", MAX_FORM_FIELDS, "", "400; the delivery is kept as refused"),
    Limit("members of a gzip body", MAX_GZIP_MEMBERS, "", "400; the delivery is kept as refused"),
    Limit("nesting of JSON", MAX_DEPTH, "levels", "400; the delivery is kept as refused"),
    Limit("an integer in JSON", MAX_INTEGER_DIGITS, "digits", "400; the delivery is kept as refused"),
    Limit("an expression", MAX_SOURCE_CHARS, "characters", NOT_SAVED),
    Limit("nesting of an expression", MAX_NESTING, "levels", NOT_SAVED),
    Limit("a text that an expression makes", MAX_TEXT_CHARS, "characters", REFUSED),
    Limit("a response of a template", MAX_RESPONSE_CHARS, "characters", "the default response"),
    Limit("a conf", MAX_CONF_CHARS, "characters", REFUSED),
    Limit("the slow check of a value, in its process", CHECK_MILLISECONDS, "ms of a processor", REFUSED),
    Limit("values that wait for a slow check", MAX_WAITING, "", "503 with `Retry-After`"),
    Limit(
        "checks of confs in one round of a dispatcher", CHECK_SECONDS, "seconds", "the next round has them"
    ),
    Limit("tasks that wait for a webhook with a condition alone", MAX_CONDITIONS, "", WAIT_FAILS),
    Limit(
        "different lists of paths that tasks compare a webhook's events at", MAX_PATH_LISTS, "", WAIT_FAILS
    ),
    Limit("events that a waiting task looks back at", MAX_LOOK_BACK_EVENTS, "", "older ones do not count"),
    Limit(
        "comparisons of one webhook's events with waiting tasks in one round of a dispatcher",
        COMPARE_SECONDS,
        "seconds",
        "the next round has them",
    ),
    Limit("objects that `uniqueItems` compares", MAX_COMPARED_ITEMS, "", REFUSED),
    Limit("recorded rejections of a webhook", MAX_PER_SECOND, "a second", "the rejection is not recorded"),
    Limit("the kept body of a response", KEPT_BYTES, "bytes", "the rest is not kept"),
    Limit("responses of a process that are still to be kept", MAX_WAITING_BYTES, "bytes", NOT_KEPT),
    Limit("such responses of one webhook", MAX_WAITING_BYTES // 2, "bytes", NOT_KEPT),
    Limit("a definition file", MAX_FILE_BYTES, "bytes", REFUSED_FILE),
    Limit("a definition file, its aliases written out", MAX_EXPANDED_CHARS, "characters", REFUSED_FILE),
    Limit("nesting of a definition file", MAX_FILE_DEPTH, "levels", REFUSED_FILE),
    Limit("the fetch of a public key, in all", FETCH_SECONDS, "seconds", "the key is not used"),
    Limit("a public key", MAX_KEY_BYTES, "bytes", "the key is not used"),
    Limit("deliveries of a back-test", MAX_DELIVERIES, "", "422 of the API"),
    Limit("deliveries that a page counts itself", MOST_COUNTED, "of a webhook", "the hour's last count"),
    Limit("runs whose latencies a page looks up itself", MOST_TIMED, "", "they wait for the hour's count"),
    Limit("webhooks in the sum of a user who may not see all", MOST_SUMMED, "", "the page says so"),
    Limit("hours of the activity", MAX_HOURS, "", "422 of the API"),
    Limit("webhooks in one exported file of the pages", MOST_EXPORTED, "", "the page refuses it"),
)


def limits() -> Iterator[Limit]:
    """All limits, in the order of the table."""
    for option in fields(Settings):
        if option.metadata["beyond"]:
            unit, beyond = option.metadata["unit"], option.metadata["beyond"]
            yield Limit(f"`{option.name}`", option.default, unit, beyond)
    yield from OF_A_WEBHOOK
    yield from FIXED


def table() -> str:
    """The table in Markdown."""
    rows = (HEAD, ["---"] * len(HEAD), *(limit.cells for limit in limits()))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def written(page: str) -> str:
    """The page with the table of now between the markers.

    :raises ValueError: a marker is missing
    """
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}"


if __name__ == "__main__":
    SECURITY.write_text(written(SECURITY.read_text()))
