"""Builds a pull request; a newer commit, or closing it, cancels the build."""

from __future__ import annotations

import time

from airflow.sdk import DAG, Param, get_current_context, task

with DAG(
    dag_id="pull_request_build",
    description="Builds the last commit of a pull request",
    schedule=None,
    catchup=False,
    params={
        "repository": Param(type="string", pattern="^[^/]+/[^/]+$", description="owner/name"),
        "number": Param(type="integer", description="The number of the pull request"),
        "commit": Param(type="string", pattern="^[0-9a-f]{40}$", description="The last commit"),
        "seconds": Param(0, type="integer", minimum=0, description="How long this example takes"),
    },
    tags=["webhook"],
):

    @task
    def build() -> str:
        """Print the commit and wait; a real task would check it out and build it."""
        params = get_current_context()["params"]
        print("commit:", params["repository"], params["number"], params["commit"])
        time.sleep(params["seconds"])
        return str(params["commit"])

    build()
