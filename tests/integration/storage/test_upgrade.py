"""Rows that the first release wrote, after `airflow db migrate` with the newest: all there, and of use."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.conftest import DATABASES
from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.webhooks_builder import ACTOR, change_webhook, delivery, rows
from tests.integration.storage.old_rows import SINCE_THE_RENAMES, make_tables_of, read_rows, write_rows

# Revision 0001 on SQLite, driven by command line and curl, with the Fernet key of the tests.
# It had a table for secrets and nothing that wrote there, so that row was added by hand.
WRITTEN: dict[str, list[dict[str, Any]]] = json.loads(
    Path(__file__).with_name("rows_of_the_first_release.json").read_text()
)
RENAMED = {("inbound_webhook_delivery", "answer_status"): "response_status"}
"""Columns of the first release that have another name since."""

FORM = "01a2265b464d7b1b90647ccb1f72f062"
PUSH = "01a2265b451b716fadd3cba1717d8740"
REFUSED = "01a2265b46397e6796a1975f583534db"
WAITING = "01a2265b46c972fc9a75b9dc6e38e91c"


@pytest.fixture(scope="module", params=DATABASES)
def upgraded(request: pytest.FixtureRequest, tmp_path_factory, template_of) -> Iterator[dict[str, list[Any]]]:
    """The rows after the migration, before any test; Airflow is connected to their database."""
    from tests.infrastructure.databases import connect_airflow, disconnect_airflow, migrate

    home = tmp_path_factory.mktemp("upgraded")
    url = template_of(request.param).for_airflow(home)
    connect_airflow(url)
    make_tables_of("0001")
    write_rows(WRITTEN)
    disconnect_airflow()
    migrate(url, home)
    connect_airflow(url)
    yield {name: stored_rows(name) for name in WRITTEN}
    disconnect_airflow()


def stored_rows(name: str) -> list[dict[str, Any]]:
    """The rows of a table with the columns that it had in the first release, as in the file."""
    names = {key: RENAMED.get((name, key), key) for key in WRITTEN[name][0]}
    return [{old: row[new] for old, new in names.items()} for row in read_rows(name)]


def path_of(name: str) -> str:
    from inbound_webhooks.webhooks import service

    return urlsplit(service.url(service.get(name))).path


def test_the_file_has_rows_of_every_table_of_the_first_release(upgraded):
    from inbound_webhooks.storage.tables import metadata

    later = ("mail", "mail_delivery", "dispatcher", "drift", *SINCE_THE_RENAMES)
    assert set(WRITTEN) == set(metadata.tables) - {f"inbound_webhook_{name}" for name in later}
    assert all(WRITTEN.values())


@pytest.mark.parametrize("table", WRITTEN)
def test_no_row_of_the_first_release_is_lost_or_changed(upgraded, table):
    assert upgraded[table] == sorted(WRITTEN[table], key=lambda row: str(row["id"]))


def test_a_webhook_of_the_first_release_has_no_verification_filter_or_recipients(upgraded):
    from inbound_webhooks.storage.credentials import find_with_credentials
    from inbound_webhooks.storage.database import transaction

    with transaction() as connection:
        webhook, held = find_with_credentials(connection, "cyLpZYGCNd")
    assert (webhook.name, webhook.verification, webhook.allowed_addresses) == ("github-push", (), ())
    assert (webhook.filter, webhook.dedup, webhook.notify_failure, webhook.max_backlog) == (
        None,
        None,
        (),
        None,
    )
    assert sorted(credential.purpose for credential in held) == ["", "signing"]


def test_a_webhook_of_then_takes_a_request_at_the_url_of_then(upgraded):
    from tests.infrastructure.asgi_endpoint import JSON, AsgiEndpoint

    store_dag("github_push_build")
    sent = base64.b64decode(
        next(row["body"] for row in WRITTEN["inbound_webhook_delivery"] if row["id"] == PUSH)
    )
    response = AsgiEndpoint().post(path_of("github-push"), sent, [*JSON, ("x-github-event", "push")])
    assert (response.status, response.json) == (201, {"got": "refs/heads/master"})
    assert json.loads(rows("delivery")[-1].conf) == json.loads(delivery(PUSH).conf)


def test_a_delivery_of_then_is_shown_with_its_credentials_masked(upgraded):
    from inbound_webhooks.deliveries.details import delivery_details

    story = delivery_details(FORM)
    assert (story["state"], story["request"]["body"]) == ("dispatched", "From=%2B4917&Body=Gr%C3%BC%C3%9Fe")
    assert ["X-Twilio-Signature", "***"] in story["request"]["headers"]
    assert story["run"]["run_id"] == f"webhook__{FORM}"


@pytest.mark.parametrize("remap", [False, True])
def test_a_delivery_of_then_is_replayed_with_its_conf_and_with_a_mapping(upgraded, remap):
    from inbound_webhooks.deliveries.replay import replay
    from inbound_webhooks.receiver.instance import get_receiver

    store_dag("event_log")
    again = replay(get_receiver(), FORM, actor=ACTOR, remap=remap)
    stored = delivery(again.id)
    assert (stored.state, stored.replay_of, stored.body) == ("accepted", FORM, delivery(FORM).body)
    assert json.loads(stored.conf) == json.loads(delivery(FORM).conf)


def test_a_delivery_that_was_refused_then_is_replayed_once_the_mapping_is_mended(upgraded):
    from inbound_webhooks.deliveries.replay import replay
    from inbound_webhooks.receiver.instance import get_receiver

    store_dag("github_push_build")
    change_webhook("cyLpZYGCNd", mapping={"ref": "${Webhook::Body.ref}"})
    again = replay(get_receiver(), REFUSED, actor=ACTOR)
    assert (again.state, json.loads(again.conf)) == ("accepted", {"ref": "refs/heads/main"})


def test_what_waited_then_for_its_run_gets_it(upgraded):
    from inbound_webhooks.dispatch.dispatcher import Dispatcher
    from inbound_webhooks.settings import Settings

    store_dag("not_there")
    Dispatcher(Settings()).dispatch_due()
    assert (delivery(WAITING).state, delivery(WAITING).run_id) == ("dispatched", f"webhook__{WAITING}")


def test_what_was_encrypted_then_can_be_encrypted_anew(upgraded):
    from inbound_webhooks.webhooks.reencryption import reencrypt_all

    counted = reencrypt_all(actor=ACTOR)
    assert counted["tokens"] == len(WRITTEN["inbound_webhook_token"])
    assert counted["secrets"] == len(WRITTEN["inbound_webhook_secret"])
