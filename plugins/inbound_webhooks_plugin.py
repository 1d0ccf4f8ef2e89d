"""For people who copy this folder into ``$AIRFLOW_HOME/plugins`` instead of installing the package.

Airflow imports each file there by its bare name; ``.airflowignore`` keeps it out of the package.
"""

from inbound_webhooks.plugin import InboundWebhooksPlugin

__all__ = ["InboundWebhooksPlugin"]
