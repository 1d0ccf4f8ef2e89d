"""``airflow webhooks …``."""
