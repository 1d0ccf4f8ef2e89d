"""Who may listen: requests are shown to users who may read the runs that they start."""

from __future__ import annotations

from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.webhooks_builder import rows, store_webhook


def test_listening_takes_the_right_to_read_the_runs_of_the_dag(fab_pages) -> None:
    store_dag("secretive")
    hook = store_webhook("of secrets", dag_id="secretive")
    rights = [
        ("can_read", "DAG:secretive"),
        ("can_create", "DAG Run:secretive"),
        ("can_edit", "DAG:secretive"),
    ]
    views = [(action, "Webhooks") for action in ("can_read", "can_create", "can_edit", "can_delete")]
    fab_pages.role("starter", *rights, *views)
    eve = fab_pages.client("eve", "starter")
    assert eve.get(f"/hook/{hook.id}").status_code == 200
    for response in (eve.post(f"/hook/{hook.id}/listen"), eve.get(f"/hook/{hook.id}/listener")):
        assert response.status_code == 403
    assert next(row for row in rows("webhook") if row.id == hook.id).listening_until is None
