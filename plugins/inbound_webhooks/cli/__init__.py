"""The commands ``airflow webhooks …``."""
