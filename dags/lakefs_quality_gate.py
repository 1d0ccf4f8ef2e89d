"""Lets lakeFS commit or not: its pre-commit hook waits for this run, and a status other than 2xx aborts."""

from __future__ import annotations

import json

from airflow.sdk import DAG, Param, get_current_context, task

with DAG(
    dag_id="lakefs_quality_gate",
    description="Checks a commit of a lakeFS repository before it is made",
    schedule=None,
    catchup=False,
    params={
        "repository": Param(type="string", description="The repository"),
        "branch": Param(type="string", description="The branch that gets the commit"),
        "message": Param("", type="string", description="The message of the commit"),
        "metadata": Param({}, type="object", description="Metadata of the commit, text -> text"),
    },
    tags=["webhook"],
):

    @task
    def check() -> dict[str, object]:
        """Return whether the commit may be made, and why not; a real task would read the data."""
        params = get_current_context()["params"]
        print("conf:", json.dumps(dict(params), sort_keys=True))
        problems = []
        if not params["message"].strip():
            problems.append("The commit has no message.")
        if params["branch"] == "main" and "ticket" not in params["metadata"]:
            problems.append("A commit to main needs a ticket in its metadata.")
        return {"passed": not problems, "problems": problems}

    @task
    def report(found: dict[str, object]) -> None:
        """Say what was found, after lakeFS has its response."""
        print("passed" if found["passed"] else f"refused: {found['problems']}")

    report(check())
