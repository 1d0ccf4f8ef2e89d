"""No token in any log record, whatever happens; no credential of a request where people look."""

from __future__ import annotations

import json
import logging

import pytest
from structlog.testing import capture_logs

from tests.infrastructure.asgi_endpoint import JSON
from tests.infrastructure.webhooks_builder import PREFIX, change_webhook, rows, store_webhook

ORDER = b'{"number": 1}'
CREDENTIALS = [
    ("authorization", "Bearer canary-1"),
    ("cookie", "a=canary-2"),
    ("x-api-key", "canary-3"),
    ("x-hub-signature-256", "sha256=canary-4"),
    ("x-gitlab-token", "canary-5"),
]


def mixed_series(asgi, hook) -> set[int]:
    """Requests of every kind, most of them wrong; returns the statuses of their answers."""
    path = hook.path
    replies = [
        asgi.post(path, ORDER),
        asgi.post(path, b'{"number": "many"}'),
        asgi.post(path, b"{"),
        asgi.post(path, ORDER, [("content-encoding", "br")]),
        asgi.post(path, ORDER, query=b"number=1&token=" + hook.token.encode()),
        asgi.request("POST", path, chunks=[ORDER], disconnects=True),
        asgi.request("POST", path, headers=[("content-length", "99999999")]),
        asgi.request("GET", path),
        asgi.request("HEAD", path),
        asgi.request("PUT", path),
        asgi.request("POST", f"{path}/", chunks=[ORDER]),
        asgi.request("POST", f"{path}%0a", chunks=[ORDER]),
        asgi.request("POST", path.replace("webhook", "webhooks"), chunks=[ORDER]),
        asgi.request("POST", f"{PREFIX}/AAAAAAAAAA/{hook.token}", chunks=[ORDER]),
    ]
    change_webhook(hook.id, response_template="${")
    replies.append(asgi.post(path, ORDER))
    change_webhook(hook.id, enabled=False, response_template=None)
    replies.append(asgi.post(path, ORDER))
    break_mapping()
    replies.append(asgi.post(path, ORDER))
    return {reply.status for reply in replies}


def break_mapping() -> None:
    from airflow import settings

    from inbound_webhooks.storage import tables

    with settings.engine.begin() as connection:
        changed = tables.webhook.c.version + 1
        connection.execute(tables.webhook.update().values(mapping="no JSON", version=changed))


def test_no_token_is_in_any_log_record(asgi, orders, caplog, capfd):
    from inbound_webhooks.receiver.instance import get_receiver

    for name in (None, "sqlalchemy.engine", "inbound_webhooks", "werkzeug", "asyncio", "flask"):
        caplog.set_level(logging.DEBUG, logger=name)
    with capture_logs() as structured:
        statuses = mixed_series(asgi, orders)
        get_receiver().rejections.flush()
    printed = "".join(capfd.readouterr())
    assert statuses == {200, 202, 400, 403, 404, 405, 413, 415, 422, 503}
    assert "endpoint_error" in caplog.text
    assert orders.id in caplog.text + printed + repr(structured)
    assert orders.token not in caplog.text
    assert orders.token not in printed
    assert orders.token not in repr(structured)


def test_no_token_is_in_any_row(asgi, orders):
    mixed_series(asgi, orders)
    stored = [rows(name) for name in ("token", "delivery", "rejection")]
    assert orders.token not in repr(stored)


def test_no_token_is_in_any_answer(asgi, sqlite_orders):
    for method in ("POST", "GET", "PUT", "OPTIONS"):
        for path in (sqlite_orders.path, f"{sqlite_orders.path}/", f"{PREFIX}/{sqlite_orders.token}"):
            reply = asgi.request(method, path, chunks=[ORDER])
            assert sqlite_orders.token not in f"{reply.body!r}{reply.headers}"


def test_credentials_of_headers_and_query_are_masked_where_people_look(asgi, database):
    hook = store_webhook(mapping={"user": "${Webhook::Query.user}"})
    query = b"user=john&access_token=canary-6&code=canary-7"
    asgi.request("POST", hook.path, headers=[*CREDENTIALS, ("x-seen", "seen")], query=query, chunks=[b"{}"])
    (stored,) = rows("delivery")
    headers = dict(json.loads(stored.headers))
    assert "canary" not in f"{stored.headers}{stored.query_string}{stored.conf}{stored.error}"
    assert (headers["X-Seen"], headers["Authorization"]) == ("seen", "***")
    assert stored.query_string == "user=john&access_token=***&code=***"


def test_credentials_are_taken_out_of_the_headers_of_a_whole_event(asgi, database):
    hook = store_webhook()
    asgi.request("POST", hook.path, headers=[*CREDENTIALS, ("x-seen", "seen")], chunks=[b"{}"])
    conf = json.loads(rows("delivery")[0].conf)
    assert conf["webhook"]["headers"]["X-Seen"] == ["seen"]
    assert "canary" not in json.dumps(conf)


def test_credentials_are_taken_out_of_the_query_of_a_whole_event(asgi, database):
    hook = store_webhook()
    asgi.post(hook.path, ORDER, query=b"user=john&access_token=canary-6&code=canary-7")
    assert json.loads(rows("delivery")[0].conf)["webhook"]["query"] == {"user": ["john"]}


NAMED_BY_NOTHING = {
    "a header": ({"kind": "header-key", "header": "X-Caller"}, b"", ("x-caller", "canary-8")),
    "a query field": ({"kind": "query-key", "field": "caller"}, b"caller=canary-8", ("x-a", "b")),
}


@pytest.mark.parametrize("place", NAMED_BY_NOTHING)
def test_a_key_is_masked_whatever_the_header_or_field_is_called(asgi, database, place):
    scheme, query, header = NAMED_BY_NOTHING[place]
    hook = store_webhook(verification=[scheme], secrets={"signing": "canary-8"})
    assert asgi.post(hook.path, ORDER, [*JSON, header], query=query).status == 202
    (stored,) = rows("delivery")
    assert "canary" not in f"{stored.headers}{stored.query_string}{stored.conf}"
    assert header[1] in dict(restored(stored).headers).values()
    assert restored(stored).query_string == query.decode()


SPELLINGS = (
    rb'"client\u0053tate": "canary-9"',
    rb'"\u0063lientState" : "canary\u002d9"',
    b'"clientState"\n:\n"canary-9"',
    b'"clientState": ["canary-9", {"a": "canary-9"}], "clientState": "canary-9"',
    rb'"a\"clientState": "b", "clientState": "canary-9"',
)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_key_in_the_body_is_masked_however_its_name_is_written(asgi, database, spelling):
    hook = store_webhook("graph", preset="microsoft-graph", secrets={"signing": "canary-9"})
    body = b'{"value": [{"id": 1e2, %s, "note": "clientState: kept"}]}' % spelling
    assert asgi.post(hook.path, body).status == 202
    (stored,) = rows("delivery")
    assert "canary" not in f"{stored.body.decode()}{stored.conf}"
    (item,) = json.loads(stored.body)["value"]
    assert (item["clientState"], item["id"], item["note"]) == ("***", 100.0, "clientState: kept")


NAMES = ("access_token", "access%5Ftoken", "%61ccess_token", "ACCESS_TOKEN", "to%6Ben", "api%2Dkey")


@pytest.mark.parametrize("name", NAMES)
def test_a_credential_in_the_query_is_masked_however_its_name_is_written(asgi, database, name):
    hook = store_webhook()
    asgi.post(hook.path, ORDER, query=f"user=john&{name}=canary-6".encode())
    (stored,) = rows("delivery")
    assert "canary" not in f"{stored.query_string}{stored.conf}"
    assert stored.query_string == f"user=john&{name}=***"


def test_a_key_in_the_body_is_masked_and_the_rest_is_kept_byte_for_byte(asgi, database):
    hook = store_webhook("graph", preset="microsoft-graph", secrets={"signing": "canary-9"})
    body = b'{"value": [{"clientState" : "%s", "id": 1e2}, {"id":"x","clientState":"%s"}]}'
    assert asgi.post(hook.path, body % (b"canary-9", b"canary-9")).status == 202
    (stored,) = rows("delivery")
    assert stored.body == body % (b"***", b"***")
    assert "canary" not in stored.conf
    assert json.loads(stored.conf)["webhook"]["body"]["value"][1] == {"id": "x", "clientState": "***"}


def restored(stored):
    """The request of a stored delivery."""
    from inbound_webhooks.deliveries.stored_request import restore
    from inbound_webhooks.storage.database import transaction
    from inbound_webhooks.storage.deliveries import find_delivery

    with transaction() as connection:
        return restore(find_delivery(connection, stored.id))


def test_credentials_are_back_for_a_replay(asgi, database):
    hook = store_webhook(mapping={"user": "${Webhook::Query.user}"})
    query = b"user=john&access_token=canary-6"
    asgi.request("POST", hook.path, headers=[*CREDENTIALS, ("x-seen", "seen")], query=query, chunks=[b"{}"])
    request = restored(rows("delivery")[0])
    assert {(name.lower(), value) for name, value in request.headers} >= {*CREDENTIALS, ("x-seen", "seen")}
    assert (request.query_string, request.body) == (query.decode(), b"{}")


def test_a_request_without_credentials_needs_no_encryption(asgi, sqlite_orders):
    asgi.post(sqlite_orders.path, ORDER)
    assert rows("delivery")[0].credentials is None


def verification_of_every_kind(asgi) -> list[int]:
    """Signed requests, right and wrong, of senders that prove themselves in different places."""
    github = store_webhook("github", preset="github", secrets={"signing": "canary-secret-1"})
    okta = store_webhook("okta", preset="okta", secrets={"signing": "canary-secret-2"})
    graph = store_webhook("graph", preset="microsoft-graph", secrets={"signing": "canary-secret-3"})
    meta = store_webhook("meta", preset="meta", secrets={"signing": "canary-secret-4", "verify": "canary-5"})
    broken = store_webhook("broken", preset="okta", secrets={"signing": "canary-secret-6"})
    spoil_secrets(broken.id)
    notification = b'{"value": [{"clientState": "canary-%s"}]}'
    return [
        asgi.post(github.path, b"canary-body", [("x-hub-signature-256", "sha256=canary-signature")]).status,
        asgi.post(okta.path, ORDER, [("authorization", "canary-wrong")]).status,
        asgi.post(okta.path, ORDER, [("authorization", "canary-secret-2")]).status,
        asgi.post(graph.path, notification % b"wrong").status,
        asgi.post(graph.path, notification % b"secret-3").status,
        asgi.request("GET", meta.path, query=b"hub.mode=subscribe&hub.verify_token=canary-6").status,
        asgi.request("GET", meta.path, query=b"hub.mode=subscribe&hub.verify_token=canary-5").status,
        asgi.post(broken.path, ORDER, [("authorization", "canary-secret-6")]).status,
    ]


def spoil_secrets(webhook_id: str) -> None:
    """Make a webhook's secrets unreadable, as another Fernet key does."""
    from airflow import settings

    from inbound_webhooks.storage import tables

    with settings.engine.begin() as connection:
        which = tables.secret.c.webhook_id == webhook_id
        connection.execute(tables.secret.update().where(which).values(encrypted="gAAAAA"))


def test_no_secret_and_no_signature_is_in_any_log_record(asgi, database, caplog, capfd):
    from inbound_webhooks.receiver.instance import get_receiver

    for name in (None, "inbound_webhooks", "flask"):  # SQLAlchemy would write the values of every row
        caplog.set_level(logging.DEBUG, logger=name)
    with capture_logs() as structured:
        statuses = verification_of_every_kind(asgi)
        get_receiver().rejections.flush()
    printed = "".join(capfd.readouterr())
    assert statuses == [401, 401, 200, 401, 202, 403, 400, 503]
    assert "canary" not in f"{caplog.text}{printed}{structured!r}"


def test_no_secret_and_no_signature_is_in_any_rejection_or_where_people_look(asgi, database):
    from inbound_webhooks.receiver.instance import get_receiver

    verification_of_every_kind(asgi)
    get_receiver().rejections.flush()
    assert len(rows("rejection")) == 5
    assert "canary" not in repr([rows("rejection"), rows("secret"), rows("webhook")])
    assert "canary-secret-2" not in "".join(row.headers for row in rows("delivery"))
