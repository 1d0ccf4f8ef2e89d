"""What a mail says of a mapping that does not fit its DAG any more."""

from __future__ import annotations

import json

from jinja2.sandbox import ImmutableSandboxedEnvironment

from inbound_webhooks.notifications.rendering import MAX_SUBJECT_CHARS, RenderedMail
from inbound_webhooks.storage.mails import Mail
from inbound_webhooks.urls import dag_url, webhook_url

SUBJECT = "[Airflow] {{ webhook }}: its mapping no longer fits DAG {{ dag_id }}"

HTML = """\
<p>A new version of DAG <a href="{{ dag_url }}">{{ dag_id }}</a> has other params
than webhook <a href="{{ webhook_url }}">{{ webhook }}</a> was made for:</p>
<ul>
{% for problem in problems -%}
<li><b>{{ problem.parameter }}</b> {{ problem.message }}</li>
{% endfor -%}
</ul>
<p>Deliveries that do not fit are kept and can be replayed once the mapping is mended.
You are told once; the webhook's page says it as long as it is so.</p>
"""


def drift_text(mail: Mail, *, base_url: str) -> RenderedMail:
    """The text of a mail of this kind."""
    facts = json.loads(mail.facts or "{}")
    values = facts | {
        "webhook": mail.webhook_name,
        "dag_url": dag_url(base_url, facts["dag_id"]),
        "webhook_url": webhook_url(base_url, mail.webhook_id),
    }
    subject = " ".join(_rendered(SUBJECT, values, escaped=False).split())
    return RenderedMail(subject[:MAX_SUBJECT_CHARS], _rendered(HTML, values, escaped=True))


def _rendered(source: str, values: dict[str, object], *, escaped: bool) -> str:
    return ImmutableSandboxedEnvironment(autoescape=escaped).from_string(source).render(values)
