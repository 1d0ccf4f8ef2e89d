"""Rows with the columns and keys of before the renames, after the migration: all there, equal and of use."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from inbound_webhooks.presets import PRESETS
from inbound_webhooks.records.delivery import State
from inbound_webhooks.storage.mails import MailState
from tests.conftest import DATABASES
from tests.infrastructure.asgi_endpoint import AsgiEndpoint
from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.loop import new_receiver
from tests.infrastructure.mail_server import MailServer, html_of
from tests.infrastructure.webhooks_builder import ACTOR, change_webhook, delivery, now, rows
from tests.integration.receiver.signed_posts import PUBLIC_URL
from tests.integration.storage.old_rows import (
    SINCE_THE_RENAMES,
    Rows,
    make_tables_of,
    migrate_to,
    read_rows,
    write_rows,
)
from tests.integration.storage.test_schema import reflected_schema
from tests.unit.presets.signed_cases import Case, read

# Revision 0007 on SQLite, driven by its own endpoint, services, command line, dispatcher and mail sender,
# with the Fernet key of the tests: a webhook "of-<preset>" for each preset, and the case that it accepted.
DUMP: dict[str, Any] = json.loads(Path(__file__).with_name("rows_before_the_renames.json").read_text())
CASES: dict[str, str] = DUMP["cases"]
WRITTEN: dict[str, Rows] = DUMP["rows"]

COLUMNS = {"proofs": "verification", "answer_status": "response_status", "faults": "problems"}
KEYS = {"faults": "problems", "what": "message"}


@dataclass(frozen=True)
class Migrated:
    """What each table held, and its indexes, at each of the revisions that a database went through."""

    rows: dict[str, dict[str, Rows]]
    indexes: dict[str, Any]


@pytest.fixture(scope="module", params=DATABASES)
def migrated(request: pytest.FixtureRequest, tmp_path_factory, template_of) -> Iterator[Migrated]:
    """Up to 0008, down to 0007 and up to the newest, where Airflow stays connected."""
    from tests.infrastructure.databases import connect_airflow, disconnect_airflow

    home = tmp_path_factory.mktemp("renamed")
    connect_airflow(template_of(request.param).for_airflow(home))
    make_tables_of("0007")
    write_rows(WRITTEN)
    found = Migrated({}, {"before": indexes()})
    for label, revision in (("up", "0008"), ("down", "0007"), ("newest", "head")):
        migrate_to(revision)
        found.rows[label] = {name: read_rows(name) for name in WRITTEN}
        found.indexes[label] = indexes()
    yield found
    disconnect_airflow()


def indexes() -> dict[str, Any]:
    """The indexes of each table as the database describes them."""
    return {table: described["indexes"] for table, described in reflected_schema().items()}


def renamed(table: str, row: dict[str, Any]) -> dict[str, Any]:
    """A row of 0007 as 0008 has it."""
    new = {COLUMNS.get(name, name): value for name, value in row.items()}
    for table_name, column in (("inbound_webhook_drift", "problems"), ("inbound_webhook_mail", "facts")):
        if table == table_name and new[column] is not None:
            for old_key, new_key in KEYS.items():
                new[column] = new[column].replace(f'"{old_key}": ', f'"{new_key}": ')
    return new


def webhook_named(name: str) -> dict[str, Any]:
    return next(row for row in WRITTEN["inbound_webhook"] if row["name"] == name)


def delivery_of(webhook_name: str, state: str) -> dict[str, Any]:
    found = WRITTEN["inbound_webhook_delivery"]
    return next(row for row in found if (row["webhook_name"], row["state"]) == (webhook_name, state))


def case_of(preset: str) -> Case:
    return next(case for case in read(preset) if case.name == CASES[preset] and case.outcome == "accepted")


def path_of(name: str) -> str:
    from inbound_webhooks.webhooks import service

    return urlsplit(service.url(service.get(name))).path


# --- what the file has ----------------------------------------------------------------------


def test_the_file_has_rows_of_every_table_a_webhook_of_every_preset_and_each_state():
    from inbound_webhooks.storage.tables import metadata

    later = {f"inbound_webhook_{name}" for name in SINCE_THE_RENAMES}
    assert set(WRITTEN) >= {name for name in metadata.tables if name.startswith("inbound_webhook")} - later
    assert {row["preset"] for row in WRITTEN["inbound_webhook"]} >= set(PRESETS)
    later_states = {*State.NOT_DUE, State.SPLIT, State.SUPERSEDED, State.SKIPPED, State.UNMATCHED}
    assert {row["state"] for row in WRITTEN["inbound_webhook_delivery"]} == set(State.ALL) - later_states
    states = {value for name, value in vars(MailState).items() if name.isupper()}
    assert {row["state"] for row in WRITTEN["inbound_webhook_mail"]} == states
    kinds = {(row["kind"], row["facts"] is None) for row in WRITTEN["inbound_webhook_mail"]}
    assert kinds == {("success", True), ("failure", True), ("drift", False)}


def test_the_file_has_problems_whose_parameters_are_called_like_the_keys():
    found = json.loads(drift_of("drifted")["faults"])
    assert {problem["parameter"] for problem in found} == {"what", "faults"}


def drift_of(name: str) -> dict[str, Any]:
    webhook_id = webhook_named(name)["id"]
    return next(row for row in WRITTEN["inbound_webhook_drift"] if row["webhook_id"] == webhook_id)


# --- the migration --------------------------------------------------------------------------


@pytest.mark.parametrize("table", WRITTEN)
def test_every_row_is_there_and_equal_under_the_new_names(migrated, table):
    expected = [renamed(table, row) for row in WRITTEN[table]]
    assert migrated.rows["up"][table] == expected
    # Later revisions may add columns.
    newest = [{name: row[name] for name in expected[0]} for row in migrated.rows["newest"][table]]
    assert newest == expected


@pytest.mark.parametrize("table", WRITTEN)
def test_a_downgrade_gives_the_old_rows_back(migrated, table):
    assert migrated.rows["down"][table] == WRITTEN[table]


def test_the_indexes_survive(migrated):
    assert migrated.indexes["up"] == migrated.indexes["before"] == migrated.indexes["down"]


# --- what the rows are good for -------------------------------------------------------------


@pytest.mark.parametrize("preset", PRESETS)
def test_a_webhook_of_each_preset_compiles_and_accepts_what_its_vendor_signed(migrated, preset):
    from inbound_webhooks.settings import Settings
    from inbound_webhooks.webhooks import service
    from inbound_webhooks.webhooks.compiled import compile_webhook

    case, before = case_of(preset), delivery_of(f"of-{preset}", State.ACCEPTED)
    webhook = service.get(f"of-{preset}")
    assert len(compile_webhook(webhook).rules.verification) == len(case.verification)
    stored = len(rows("delivery"))
    receiver = new_receiver(Settings(public_url=PUBLIC_URL), now=lambda: case.now)
    response = AsgiEndpoint(receiver=lambda: receiver).request(
        "POST",
        path_of(f"of-{preset}"),
        query=case.request.query_string.encode(),
        headers=[*case.request.headers, ("content-length", str(len(case.request.body)))],
        chunks=[case.request.body],
    )
    assert response.status == before["answer_status"]
    # An event with a deduplication key has been seen before the migration.
    assert len(rows("delivery")) - stored == (0 if before["dedup_key"] else 1)


def test_a_secret_of_a_webhook_is_asked_for(migrated):
    headers = [("content-type", "application/json"), ("x-api-key", "another")]
    assert AsgiEndpoint().post(path_of("two-keys"), b"{}", headers).status == 401


@pytest.mark.parametrize("remap", [False, True])
def test_an_accepted_delivery_is_replayed(migrated, remap):
    from inbound_webhooks.deliveries.replay import replay
    from inbound_webhooks.receiver.instance import get_receiver

    store_dag("orders")
    before = delivery_of("orders", State.SUCCEEDED)
    again = replay(get_receiver(), before["id"], actor=ACTOR, remap=remap)
    stored = delivery(again.id)
    assert (stored.state, stored.replay_of) == (State.ACCEPTED, before["id"])
    assert json.loads(stored.conf) == json.loads(before["conf"])
    assert stored.body == base64.b64decode(before["body"])


def test_a_refused_delivery_is_replayed_once_the_mapping_fits(migrated):
    from inbound_webhooks.deliveries.replay import replay
    from inbound_webhooks.receiver.instance import get_receiver

    store_dag("orders")
    change_webhook(webhook_named("orders")["id"], mapping={"number": "7"})
    again = replay(get_receiver(), delivery_of("orders", State.REFUSED)["id"], actor=ACTOR)
    assert (again.state, json.loads(again.conf or "")) == (State.ACCEPTED, {"number": "7"})


def test_a_delivery_is_shown_with_the_status_of_its_response(migrated):
    from inbound_webhooks.deliveries.details import delivery_details

    before = delivery_of("orders", State.FAILED)
    details = delivery_details(before["id"])
    assert details["state"] == State.FAILED
    assert details["request"]["response_status"] == before["answer_status"]


def test_a_drift_is_shown_as_a_problem(migrated):
    from inbound_webhooks.storage.database import transaction
    from inbound_webhooks.storage.tables import drift
    from inbound_webhooks.webhooks import readiness, service

    webhook = service.get("typed")
    store_dag("typed", params={"number": 1})
    with transaction() as connection:
        # The DAG of the dump is not there: this one stands for it.
        stored = drift.update().where(drift.c.webhook_id == webhook.id)
        connection.execute(stored.values(dag_hash=hash_of("typed")))
    sentences = {reason.code: reason.message for reason in readiness.reasons_of(webhook)}
    assert sentences["mapping-drifted"] == (
        "DAG typed has changed: its param number "
        "would refuse what 1 of the last 2 deliveries gave it (it wants integer)."
    )


def hash_of(dag_id: str) -> str:
    from inbound_webhooks.airflow_bridge.dag_cache import DagCache
    from inbound_webhooks.storage.database import in_transaction

    found = DagCache(recheck_seconds=0).get(dag_id, in_transaction)
    assert found is not None
    return found.dag_hash


def test_a_drift_mail_that_waited_says_what_does_not_fit(migrated, monkeypatch):
    from inbound_webhooks.notifications.sender import NotificationSender
    from inbound_webhooks.settings import Settings

    server = MailServer()
    monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", server.connection())
    server.start()
    try:
        sender = NotificationSender(Settings(), now=lambda: now() + timedelta(days=365))
        while sender.send_due():
            pass
    finally:
        server.stop()
    found = [html_of(message) for message in server.messages if "no longer fits" in message["Subject"]]
    assert any("<b>customer</b> has no default and no expression" in text for text in found)
