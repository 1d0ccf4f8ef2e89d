"""Builds a pushed commit of a GitHub repository; the webhook's mapping fills the typed params."""

from __future__ import annotations

import json

from airflow.sdk import DAG, Param, get_current_context, task

with DAG(
    dag_id="github_push_build",
    description="Builds what was pushed to a GitHub repository",
    schedule=None,
    catchup=False,
    params={
        "repository": Param(type="string", pattern="^[^/]+/[^/]+$", description="owner/name"),
        "ref": Param(type="string", description="The branch or tag that was pushed, refs/heads/main"),
        "commit": Param(type="string", pattern="^[0-9a-f]{40}$", description="The commit after the push"),
        "event": Param("push", type="string", description="GitHub's event"),
        "pusher": Param("unknown", type="string", description="The user who pushed"),
        "commits": Param(0, type="integer", minimum=0, description="The number of commits"),
    },
    tags=["webhook"],
):

    @task
    def build() -> str:
        """Print the conf; a real task would check out the commit and build it."""
        context = get_current_context()
        print("conf:", json.dumps(context["dag_run"].conf, sort_keys=True))
        params = context["params"]
        return f"{params['repository']}@{params['commit'][:12]} of {params['ref']} by {params['pusher']}"

    @task
    def report(built: str) -> None:
        """Say what was built."""
        print("built", built)

    report(build())
