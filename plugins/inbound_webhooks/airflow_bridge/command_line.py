"""How Airflow's own commands are run, and how they print tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from airflow.utils.cli import suppress_logs_and_warning
from airflow.utils.providers_configuration_loader import providers_configuration_loaded

Function = TypeVar("Function", bound=Callable[..., Any])


def as_command(function: Function) -> Function:
    """Run a function with the configuration of providers, and without log lines and warnings."""
    wrapped: Function = suppress_logs_and_warning(providers_configuration_loaded(function))
    return wrapped


def print_rows(rows: list[dict[str, Any]], output: str) -> None:
    """Print rows to ``sys.stdout`` in one of the formats of Airflow's commands."""
    from airflow.cli.simple_table import AirflowConsole

    AirflowConsole().print_as(rows, output)
