"""Loads new objects of a bucket; a run of a webhook with batches gets a list of them."""

from __future__ import annotations

from airflow.sdk import DAG, Param, get_current_context, task

with DAG(
    dag_id="new_objects",
    description="Loads the objects that S3 or MinIO has announced",
    schedule=None,
    catchup=False,
    params={
        "events": Param(
            [],
            type="array",
            items={
                "type": "object",
                "properties": {
                    "bucket": {"type": "string"},
                    "key": {"type": "string"},
                    "size": {"type": "integer", "minimum": 0},
                },
                "required": ["bucket", "key"],
            },
            description="What a batch of notifications names",
        )
    },
    tags=["webhook"],
):

    @task
    def load() -> int:
        """Print the objects; a real task would copy them."""
        events = get_current_context()["params"]["events"]
        for event in events:
            print("object:", event["bucket"], event["key"], event.get("size"))
        return len(events)

    load()
