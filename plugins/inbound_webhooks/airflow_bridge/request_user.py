"""The user of a request to Airflow's API server."""

from __future__ import annotations

from airflow.api_fastapi.core_api.security import GetUserDep as RequestUser

__all__ = ["RequestUser"]
