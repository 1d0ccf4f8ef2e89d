"""Words of the pages."""

from __future__ import annotations

import pytest

from inbound_webhooks.records.delivery import State
from inbound_webhooks.web.formatting import prose, state_word


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("DAG orders is paused.", "Dag orders is paused."),
        ("The DAG's params, of two DAGs.", "The Dag's params, of two Dags."),
        ("It is no DAG.", "It is no Dag."),
        ("DAG my_DAG and DAG.x and x-DAG", "Dag my_DAG and DAG.x and x-DAG"),
        ("Set DAGS_FOLDER.", "Set DAGS_FOLDER."),
    ],
)
def test_messages_write_dag_as_airflows_pages_do_and_leave_ids_alone(message, shown):
    assert prose(message) == shown


def test_states_of_runs_have_airflows_words():
    words = {name: state_word(name) for name in ("queued", "running", "succeeded", "failed")}
    assert words == {"queued": "Queued", "running": "Running", "succeeded": "Success", "failed": "Failed"}
    assert all(state_word(name)[0].isupper() for name in State.ALL)
