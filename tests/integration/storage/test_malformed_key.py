"""A [core] fernet_key that is no key: one line and exit status 1, never a traceback; another key is named."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from pathlib import Path

import anyio
import pytest
import yaml

from tests.infrastructure.asgi_endpoint import AsgiEndpoint
from tests.infrastructure.database_status import database_status
from tests.infrastructure.environment import FERNET_KEY
from tests.infrastructure.gateway_process import GatewayProcess
from tests.infrastructure.webhooks_builder import rows, store_webhook

OTHER_KEY = base64.urlsafe_b64encode(b"another key, of 32 bytes too....").decode()
MALFORMED = {
    "no key": "not-a-key",
    "another alphabet": "schlüssel",
    "too short": FERNET_KEY[4:],
    "second of two": f"{FERNET_KEY},not-a-key",
    "first of two": f"not-a-key,{FERNET_KEY}",
    "comma at the end": f"{FERNET_KEY},",
}
LINE = "[core] fernet_key is malformed: each of its keys must be 32 bytes in URL-safe Base64. Correct it.\n"


@pytest.fixture(params=MALFORMED.values(), ids=MALFORMED)
def malformed(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def hook(sqlite_database, use_fernet_key):
    use_fernet_key(FERNET_KEY)
    return store_webhook("hook", preset="github", secrets={"signing": "It's a Secret to Everybody"})


@pytest.fixture
def definitions(tmp_path: Path) -> str:
    file = tmp_path / "hooks.yaml"
    file.write_text(yaml.safe_dump({"webhooks": [{"name": "new", "dag_id": "orders"}]}))
    return str(file)


def test_each_form_of_a_malformed_key_is_named(use_fernet_key, malformed):
    from inbound_webhooks.errors import FernetKeyMalformed
    from inbound_webhooks.storage.encryption import encrypt, reencrypt

    use_fernet_key(malformed)
    for function in (encrypt, reencrypt):
        with pytest.raises(FernetKeyMalformed) as raised:
            function("a token")
        assert raised.value.__cause__ is None


@pytest.mark.parametrize(
    "call",
    [
        ("create", "new", "--dag-id", "orders"),
        ("show", "hook"),
        ("url", "hook"),
        ("rotate", "hook"),
        ("check",),
        ("import", "FILE"),
        ("import", "FILE", "--dry-run"),
        ("export", "hook", "--with-secrets"),
        ("try", "hook", "--data", "{}"),
        ("rotate-fernet-key",),
        ("dispatcher",),
        ("gateway", "--port", "1"),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("key", ["not-a-key", f"{FERNET_KEY},not-a-key"], ids=["no key", "one of two"])
def test_a_command_that_needs_the_key_says_so_in_one_line(
    webhooks, hook, definitions, use_fernet_key, call, key
):
    use_fernet_key(key)
    done = webhooks(*(definitions if word == "FILE" else word for word in call))
    assert (done.status, done.out, done.err) == (1, "", LINE)
    assert [row.name for row in rows("webhook")] == ["hook"]


@pytest.mark.parametrize(
    "call", [("list",), ("disable", "hook"), ("deliveries",), ("presets",), ("delete", "hook", "--yes")]
)
def test_a_command_that_needs_no_key_works(webhooks, hook, use_fernet_key, call):
    use_fernet_key("not-a-key")
    assert webhooks(*call).status == 0


def test_a_sender_is_put_off_and_does_not_learn_why(hook, use_fernet_key, malformed):
    use_fernet_key(malformed)
    reply = AsgiEndpoint().post(hook.path)
    assert reply.status == 503
    assert reply.json["error"] == "The webhook's token cannot be decrypted with [core] fernet_key."


@pytest.mark.parametrize(
    ("key", "code"), [("not-a-key", "misconfigured"), ("", "fernet-key-missing")], ids=["malformed", "empty"]
)
def test_the_api_server_starts_and_names_the_key(
    sqlite_database, use_fernet_key, environment_problems, caplog, key, code
):
    from inbound_webhooks.rest import app

    async def start_and_stop() -> None:
        async with app.lifespan(app.app):
            pass

    use_fernet_key(key)
    with caplog.at_level(logging.WARNING, logger="inbound_webhooks"):
        anyio.run(start_and_stop)
    ((found, message),) = environment_problems().items()
    assert found == code
    assert "[core] fernet_key" in message
    assert f"code={code}: {message}" in caplog.text


@pytest.mark.parametrize(
    ("key", "code"),
    [
        pytest.param("", "fernet-key-missing", id="empty"),
        pytest.param(OTHER_KEY, "fernet-key-other", id="other", marks=pytest.mark.long),
    ],
)
def test_each_worker_of_a_gateway_names_a_key_that_decrypts_no_token(
    hook, sqlite_database, tmp_path, key, code
):
    gateway = GatewayProcess(
        tmp_path, sqlite_database.url, workers=2, variables={"AIRFLOW__CORE__FERNET_KEY": key}
    )
    try:
        gateway.wait()
        reply = gateway.request("POST", hook.path.removeprefix("/pluginsv2"), b"{}")
        report = gateway.request("GET", "/health")
    finally:
        gateway.stop()
    document = json.loads(report[2])
    assert (reply[0], report[0], document["status"]) == (503, 503, "misconfigured")
    assert [problem["code"] for problem in document["problems"]] == [code]
    # The parent checks an empty key too; the other one only shows when a token is read.
    assert gateway.log.read_text().count(f"code={code}") == (3 if not key else 2)


def test_check_and_environment_name_another_key(hook, use_fernet_key, webhooks, environment_problems):
    use_fernet_key(OTHER_KEY)
    done = webhooks("check")
    assert done.status == 1
    assert list(environment_problems()) == ["fernet-key-other"]
    assert environment_problems()["fernet-key-other"] in done.out


def test_the_newest_token_decides_whether_the_key_is_another(hook, use_fernet_key, environment_problems):
    """Tokens that a rotation of the key has left behind are problems of their webhooks alone."""
    use_fernet_key(OTHER_KEY)
    store_webhook("newer")
    asyncio.run(database_status())
    assert environment_problems() == {}
