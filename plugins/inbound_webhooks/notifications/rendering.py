"""Renders mails: outcomes -> subject and HTML, from templates that escape their values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from inbound_webhooks.event.truncation import truncate
from inbound_webhooks.monitoring.log_lines import get_logger
from inbound_webhooks.settings import Settings
from inbound_webhooks.storage.mails import Mail
from inbound_webhooks.storage.outcomes import Outcome
from inbound_webhooks.urls import delivery_url, log_url, run_url

log = get_logger(__name__)

MAX_SUBJECT_CHARS = 200
MAX_ERROR_CHARS = 500
"""Characters of a delivery's error in a mail."""

MAX_LISTED = 50
"""Deliveries that a mail lists; it gives only the number of the rest."""

DEFAULT_SUBJECT = (
    "[Airflow] {{ webhook }}: "
    "{% if total == 1 %}{{ deliveries[0].target }} {{ deliveries[0].state }}"
    "{% else %}{{ total }} deliveries failed{% endif %}"
)

DEFAULT_HTML = """\
<div style="max-width: 640px; font: 15px/1.5 sans-serif; overflow-wrap: anywhere; word-break: break-word">
<p style="margin: 0 0 12px">Webhook <b>{{ webhook }}</b>: {% if total == 1 -%}
a delivery {{ deliveries[0].state }}.{% else %}{{ total }} deliveries failed.{% endif %}</p>
{% for delivery in deliveries -%}
<div style="border: 1px solid #ccc; border-radius: 6px; padding: 10px 12px; margin: 0 0 12px">
<div><b>{{ delivery.target }}</b> {{ delivery.state }}
{%- if delivery.duration %} after {{ delivery.duration }}{% endif %}</div>
{% if delivery.error %}<div style="margin: 6px 0; padding: 6px 10px; background: #fdecea; color: #8a1c12">
{{- delivery.error }}</div>
{% endif %}
{% if delivery.failed_tasks %}<div>Failed tasks: {% for task in delivery.failed_tasks -%}
<a href="{{ task.log_url }}">{{ task.name }}</a>
{%- if not loop.last %}, {% endif %}{% endfor %}</div>
{% endif %}
<div>{% if delivery.run_url %}<a href="{{ delivery.run_url }}">Run</a> · {% endif -%}
<a href="{{ delivery.url }}">Delivery</a> · received {{ delivery.received_at }}</div>
<div style="font-size: 12px; color: #666">{{ delivery.id }}</div>
</div>
{% endfor -%}
{% if total > deliveries | length %}<p>and {{ total - deliveries | length }} more</p>{% endif %}
</div>
"""

TEXT = """\
Webhook {{ webhook }}: {% if total == 1 -%}
a delivery {{ deliveries[0].state }}.{% else %}{{ total }} deliveries failed.{% endif %}
{% for delivery in deliveries %}
{{ delivery.target }} {{ delivery.state }}{% if delivery.duration %} after {{ delivery.duration }}{% endif %}
{% if delivery.error %}  {{ delivery.error }}
{% endif %}
{%- for task in delivery.failed_tasks %}  Failed task {{ task.name }}: {{ task.log_url }}
{% endfor %}
{%- if delivery.run_url %}  Run: {{ delivery.run_url }}
{% endif %}  Delivery: {{ delivery.url }}
  Received: {{ delivery.received_at }}
{% endfor %}
{%- if total > deliveries | length %}
and {{ total - deliveries | length }} more
{% endif %}"""
"""Not configurable: an operator's HTML may lack nothing that this has."""


@dataclass(frozen=True)
class RenderedMail:
    """Subject and body of a mail, as HTML and as text."""

    subject: str
    html: str
    text: str


class MailTemplates:
    """The operator's templates, or the defaults where they are missing or broken."""

    def __init__(self, settings: Settings) -> None:
        self._subject = _Template("email_subject", settings.email_subject, DEFAULT_SUBJECT, escaped=False)
        self._html = _Template("email_html", settings.email_html, DEFAULT_HTML, escaped=True)
        self._text = ImmutableSandboxedEnvironment(autoescape=False).from_string(TEXT)

    def render(self, mail: Mail, outcomes: Sequence[Outcome], *, total: int, base_url: str) -> RenderedMail:
        """Render a mail; ``outcomes`` are the first of the ``total`` that it is about."""
        values = {
            "webhook": mail.webhook_name,
            "kind": mail.kind,
            "total": total,
            "deliveries": [_template_values(outcome, base_url) for outcome in outcomes],
            "base_url": base_url,
        }
        # A line break would end the header.
        subject = " ".join(self._subject.render(values).split())
        return RenderedMail(subject[:MAX_SUBJECT_CHARS], self._html.render(values), self._text.render(values))


class _Template:
    """A template with a default to fall back on: an error in a template must not cost a mail."""

    def __init__(self, name: str, source: str, default: str, *, escaped: bool) -> None:
        # Sandboxed: templates come from the operator, but their values come from senders.
        environment = ImmutableSandboxedEnvironment(autoescape=escaped)
        self._name = name
        self._default = environment.from_string(default)
        self._chosen = self._default
        if source:
            try:
                # At start, so that a syntax error is logged when the process starts and not with each mail.
                self._chosen = environment.from_string(source)
            except TemplateError as error:
                self._log_error(error)

    def render(self, values: dict[str, Any]) -> str:
        try:
            return self._chosen.render(values)
        except Exception as error:  # noqa: BLE001 - the operator's template may do anything
            self._log_error(error)
            return self._default.render(values)

    def _log_error(self, error: Exception) -> None:
        log.error(
            "mail template broken, using the default action=mail_template_broken setting=[inbound_webhooks] "
            "%s: %s: %s",
            self._name,
            type(error).__name__,
            error,
        )


def _template_values(outcome: Outcome, base_url: str) -> dict[str, Any]:
    run = outcome.run_id and run_url(base_url, outcome.dag_id, outcome.run_id)
    return {
        "id": outcome.delivery_id,
        "url": delivery_url(base_url, outcome.delivery_id),
        "target": outcome.dag_id or outcome.asset or outcome.webhook_name,
        "dag_id": outcome.dag_id,
        "run_id": outcome.run_id,
        "run_url": run,
        "state": outcome.state,
        "received_at": _time(outcome.received_at),
        "started_at": _time(outcome.started_at),
        "finished_at": _time(outcome.finished_at),
        "duration": _duration(outcome),
        "error": outcome.error and truncate(" ".join(outcome.error.split()), MAX_ERROR_CHARS),
        "failed_tasks": [
            {
                "task_id": task.task_id,
                "name": f"{task.task_id}[{task.map_index}]" if task.map_index >= 0 else task.task_id,
                "map_index": task.map_index,
                "log_url": log_url(base_url, outcome.dag_id, outcome.run_id or "", task),
            }
            for task in outcome.failed_tasks
        ],
    }


# In UTC, because recipients of a mail may be in several time zones.
def _time(at: datetime | None) -> str | None:
    return None if at is None else at.strftime("%Y-%m-%d %H:%M:%S UTC")


def _duration(outcome: Outcome) -> str | None:
    if outcome.started_at is None:
        return None
    return str(timedelta(seconds=round((outcome.finished_at - outcome.started_at).total_seconds())))
