"""Text of a mail about a mapping that no longer fits its DAG."""

from __future__ import annotations

import json

from jinja2.sandbox import ImmutableSandboxedEnvironment

from inbound_webhooks.notifications.rendering import MAX_SUBJECT_CHARS, RenderedMail
from inbound_webhooks.storage.mails import Mail
from inbound_webhooks.urls import dag_url, webhook_url

SUBJECT = "[Airflow] {{ webhook }}: mapping no longer fits Dag {{ dag_id }}"

HTML = """\
<p>The params of Dag <a href="{{ dag_url }}">{{ dag_id }}</a> have changed, and the mapping of webhook
<a href="{{ webhook_url }}">{{ webhook }}</a> no longer fits them:</p>
<ul>
{% for problem in problems -%}
<li><b>{{ problem.parameter }}</b> {{ problem.message }}</li>
{% endfor -%}
</ul>
<p>Correct the mapping. Deliveries that do not fit are kept, so you can replay them afterwards.
This mail is sent once; the webhook's page shows these problems until they are solved.</p>
"""


TEXT = """\
The params of Dag {{ dag_id }} have changed, and the mapping of webhook {{ webhook }} no longer fits them:
{% for problem in problems %}
- {{ problem.parameter }} {{ problem.message }}
{%- endfor %}

Correct the mapping: {{ webhook_url }}
Deliveries that do not fit are kept, so you can replay them afterwards.
This mail is sent once; the webhook's page shows these problems until they are solved.
"""


# No template is configurable: an operator's template is written for outcomes and lacks these values.
def drift_text(mail: Mail, *, base_url: str) -> RenderedMail:
    """Render a mail of this kind."""
    facts = json.loads(mail.facts or "{}")
    values = facts | {
        "webhook": mail.webhook_name,
        "dag_url": dag_url(base_url, facts["dag_id"]),
        "webhook_url": webhook_url(base_url, mail.webhook_id),
    }
    # A header is one line.
    subject = " ".join(_rendered(SUBJECT, values, escaped=False).split())
    html, plain = _rendered(HTML, values, escaped=True), _rendered(TEXT, values, escaped=False)
    return RenderedMail(subject[:MAX_SUBJECT_CHARS], html, plain)


def _rendered(source: str, values: dict[str, object], *, escaped: bool) -> str:
    return ImmutableSandboxedEnvironment(autoescape=escaped).from_string(source).render(values)
