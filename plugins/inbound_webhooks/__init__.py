"""Inbound webhooks for Apache Airflow: an HTTP POST starts a DAG run."""

__version__ = "0.1.0"
