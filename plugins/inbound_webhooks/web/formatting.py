"""Formats times, sizes and states for the pages."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from flask import url_for

from inbound_webhooks.monitoring.clock import utc_now
from inbound_webhooks.presets import PRESETS
from inbound_webhooks.records.delivery import State
from inbound_webhooks.records.failed_task import FailedTask
from inbound_webhooks.records.target import serves_waits_only
from inbound_webhooks.records.wait import Wait
from inbound_webhooks.records.webhook import Draft
from inbound_webhooks.settings import docs_page
from inbound_webhooks.urls import log_url, task_url
from inbound_webhooks.web.documentation_text import has_page

TONES = {
    "accepted": "info",
    "dispatched": "info",
    "queued": "info",
    "running": "info",
    "succeeded": "good",
    "sent": "good",
    "waiting": "info",
    "given_up": "bad",
    "failed": "bad",
    "refused": "bad",
    "undeliverable": "bad",
    "rejected": "bad",
    "filtered": "muted",
    "cancelled": "muted",
    "held": "info",
    "batched": "info",
    "settling": "info",
    "in_turn": "info",
    "split": "muted",
    "superseded": "muted",
    "skipped": "muted",
    "unmatched": "muted",
    "verified": "muted",
    "handshake": "muted",
    "duplicate": "muted",
}
"""State -> the colour of its badge."""

STATE_HELP = {
    "accepted": "Stored; its Dag run is created next.",
    "dispatched": "Its Dag run was created.",
    "queued": "Its Dag run waits for the scheduler.",
    "running": "Its Dag run is running.",
    "succeeded": "Its Dag run succeeded.",
    "failed": "Its Dag run failed.",
    "refused": "The request was stored but cannot be used, so nothing ran. Fix the webhook, then replay it.",
    "undeliverable": "The Dag run could not be created. Fix the problem, then replay it.",
    "filtered": "The filter excluded it, so nothing ran.",
    "cancelled": "The webhook was deleted before the Dag run was created, or an event cancelled it.",
    "held": "Stored while the webhook is on hold; it goes on when the hold is released.",
    "batched": "Stored; its batch is not complete yet.",
    "settling": "Stored; it runs unless a newer event of its key follows.",
    "in_turn": "Stored; the Dag run of an earlier event of its key has not ended.",
    "split": "It was split into several deliveries.",
    "superseded": "A newer event of its key was run instead.",
    "skipped": "A Dag run of its key was active, or it only cancelled runs; nothing ran.",
    "unmatched": "No task waited for this event.",
    "rejected": "The request was rejected before it was stored.",
    "verified": "The sender checked the URL; such a request never starts a run.",
}
"""State of a delivery -> explanation."""

CALL_HELP = {
    "accepted": "Stored; its task is resumed once it waits.",
    "succeeded": "It resumed its task.",
    "failed": "It failed its task.",
    "cancelled": "Its task did not wait any more.",
}
"""State of the call of a waiting task -> explanation."""

EVENT_HELP = {
    "accepted": "Stored; its asset event is created next.",
    "succeeded": "Its asset event was created. Airflow decides which Dags run for it.",
    "undeliverable": "The asset event could not be created. Fix the problem, then replay it.",
    "cancelled": "The webhook was deleted before the asset event was created.",
}
"""State of a delivery whose target is an asset -> explanation, where it differs."""

STATE_WORDS = {
    "succeeded": "Success",
    "in_turn": "Waiting for its turn",
}
"""State -> its word on the pages where it differs; for states of a run, Airflow's own word."""

MAIL_HELP = {
    "waiting": "It has not been sent yet.",
    "sent": "The mail server has accepted it.",
    "refused": "The mail server rejected it permanently; there is no retry.",
    "given_up": "It could not be sent in time; there is no further retry.",
}
"""State of a mail -> explanation."""

ROUTE_WORDS = {
    "accepted": "yes",
    "refused": "yes, but its content cannot be used",
    "filtered": "no, its filter excludes it",
    "disabled": "no, it is disabled",
    "not first": "no, another one came first",
}
"""What a route made of an event -> words."""

PREVIEW_HELP = {
    "accepted": "A run would start with this conf.",
    "split": "It would be split into several deliveries.",
    "filtered": "The filter would exclude it; nothing would run.",
    "refused": "It would be stored for a replay; nothing would run.",
    "rejected": "It would be rejected; nothing would be stored or run.",
    "verified": "The sender would get this response to its check; such a request never starts a run.",
    "handshake": "It is the sender's handshake: the sender would get this response; nothing would run.",
}
"""State of a preview -> explanation."""

RESUMES_HELP = "It would be compared with the tasks that wait for the webhook's events."
"""The same for a request that is accepted and starts nothing by itself."""

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
_KIB = 1024
_DAG_WORD = re.compile(r"(?<![\w.~'\"-])DAG(?=s?(?:'s)?(?:[\s,;:)?!]|\.?$|\.\s))")


def ago(moment: datetime) -> str:
    """``3 min ago``"""
    seconds = max(int((utc_now() - moment).total_seconds()), 0)
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return "just now"


def exact(moment: datetime) -> str:
    """``2026-11-23 21:04:05 UTC``"""
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")


def iso(moment: datetime) -> str:
    """``2026-11-23T21:04:05+00:00``, for the attribute of a time element."""
    return moment.astimezone(timezone.utc).isoformat(timespec="seconds")


def utc_input(moment: datetime) -> str:
    """``2026-11-23T21:04:05``, for a field without a time zone."""
    return moment.astimezone(timezone.utc).replace(tzinfo=None).isoformat(timespec="seconds")


def size(number: int) -> str:
    """``1.4 KiB``"""
    if number < _KIB:
        return f"{number} B"
    return f"{number / _KIB:.1f} KiB" if number < _KIB**2 else f"{number / _KIB**2:.1f} MiB"


def duration(seconds: float) -> str:
    """``1 min 4 s``"""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def at_most(seconds: float | None) -> str:
    """``≤ 1.5 s``, for an upper bound; a dash without one."""
    if seconds is None:
        return "–"
    return "> 2 h" if seconds == float("inf") else f"≤ {duration(seconds)}"


def count(number: int) -> str:
    """``12,345``"""
    return f"{number:,}"


def tone(state: str) -> str:
    """The colour of a state's badge."""
    return TONES.get(state, "muted")


def state_word(state: str) -> str:
    """``Success``: a state as Airflow's own pages write it."""
    return STATE_WORDS.get(state, state.replace("_", " ").capitalize())


def state_help(state: str, *, is_call: bool = False, is_event: bool = False) -> str:
    """The explanation of a delivery's state, of one that resumes waiting tasks, or for an asset event."""
    if is_event and state in EVENT_HELP:
        return EVENT_HELP[state]
    return (CALL_HELP.get(state) if is_call else None) or STATE_HELP.get(state, "")


def preview_help(state: str, webhook: Draft) -> str:
    """The explanation of a preview's state."""
    if state == State.ACCEPTED and serves_waits_only(webhook):
        return RESUMES_HELP
    if state == State.ACCEPTED and webhook.asset is not None:
        return "An asset event would be created with this conf."
    return PREVIEW_HELP.get(state, "")


def resumes(delivery: Any) -> bool:
    """Whether the outcome of a delivery is that of a waiting task, instead of a run or an asset event."""
    return delivery.wait_id is not None or serves_waits_only(delivery)


def route_words(state: str) -> str:
    """What a route made of an event."""
    return ROUTE_WORDS.get(state, state)


def mail_help(state: str) -> str:
    """The explanation of a mail's state."""
    return MAIL_HELP.get(state, "")


def prose(message: str) -> str:
    """A message with the word "Dag" as Airflow's pages write it; ids stay as they are."""
    return _DAG_WORD.sub("Dag", message)


def sender(preset: str | None) -> str:
    """The title of a preset; "Any" without one."""
    return PRESETS[preset].title if preset in PRESETS else preset or "Any"


def pretty(value: Any) -> str:
    """A JSON value with indentation."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def task_log(task: FailedTask, base_url: str, dag_id: str, run_id: str) -> str:
    """The URL of a failed task's log."""
    return log_url(base_url.rstrip("/"), dag_id, run_id, task)


def docs(name: str) -> str:
    """The URL of a page of the documentation: of the option docs_url, else of the package's copy; or ""."""
    return docs_page(name) or (url_for("DocumentationView.page", page=name) if has_page(name) else "")


def waiting_task(wait: Wait, base_url: str) -> str:
    """The URL of a waiting task in Airflow's interface."""
    return task_url(base_url.rstrip("/"), wait.dag_id, wait.run_id, wait.task_id, wait.map_index)


def wait_tab(wait: Wait) -> str:
    """The URL of our page with the waits of a task instance."""
    return url_for(
        "WaitsView.of_task",
        dag_id=wait.dag_id,
        run_id=wait.run_id,
        task_id=wait.task_id,
        map_index=wait.map_index,
    )


FILTERS: dict[str, Callable[..., str | bool]] = {
    "webhook_ago": ago,
    "webhook_exact": exact,
    "webhook_iso": iso,
    "webhook_utc_input": utc_input,
    "webhook_size": size,
    "webhook_duration": duration,
    "webhook_at_most": at_most,
    "webhook_count": count,
    "webhook_tone": tone,
    "webhook_state": state_word,
    "webhook_state_help": state_help,
    "webhook_route": route_words,
    "webhook_mail_help": mail_help,
    "webhook_prose": prose,
    "webhook_sender": sender,
    "webhook_docs": docs,
    "webhook_pretty": pretty,
    "webhook_log_url": task_log,
    "webhook_task_url": waiting_task,
    "webhook_wait_url": wait_tab,
    "webhook_resumes": resumes,
}
"""Jinja filters; the prefix avoids clashes, because all plugins share the application's names."""
