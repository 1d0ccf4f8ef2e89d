"""Why a waiting task fails."""

from __future__ import annotations

from airflow.sdk.exceptions import AirflowException


class WaitFailed(AirflowException):
    """The task cannot wait, or its wait ended without a result."""
