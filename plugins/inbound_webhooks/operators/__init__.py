"""What DAG authors import: tasks that wait for a webhook. It uses Airflow's task SDK and no database."""

from inbound_webhooks.operators.wait_for_webhook import WaitForWebhook, wait_for_webhook

__all__ = ["WaitForWebhook", "wait_for_webhook"]
