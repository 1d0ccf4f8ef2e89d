"""The configuration that provider packages add to Airflow's."""

from __future__ import annotations

from airflow.providers_manager import ProvidersManager


def load_provider_configuration() -> None:
    """Read it, as Airflow's own servers do when they start."""
    ProvidersManager().initialize_providers_configuration()
