"""`airflow webhooks import` and `export`: files into the database and back."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import yaml

from inbound_webhooks.presets import PRESETS
from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.environment import CHECKOUT
from tests.infrastructure.webhooks_builder import audit_rows, rows, store_webhook
from tests.unit.presets.vendor_secrets import vendor_secrets

SECRET = "canary-of-the-secret-0123456789abcdef"
PUSHES = {
    "name": "pushes",
    "dag_id": "build",
    "preset": "github",
    "secrets": {"signing": "env:PUSHES_SECRET"},
    "mapping": {"ref": "${Webhook::Body.ref}"},
}


@pytest.fixture
def file(tmp_path: Path, monkeypatch):
    """Write webhooks into a file; returns its path."""
    monkeypatch.setenv("PUSHES_SECRET", SECRET)

    def write(*webhooks: dict) -> str:
        path = tmp_path / "hooks.yaml"
        path.write_text(yaml.safe_dump({"webhooks": list(webhooks)}, sort_keys=False))
        return str(path)

    return write


def stored(name: str):
    from inbound_webhooks.webhooks import service

    return service.get(name)


def secret_of(name: str) -> str:
    from inbound_webhooks.storage.encryption import decrypt

    (row,) = [row for row in rows("secret") if row.webhook_id == stored(name).id]
    return decrypt(row.encrypted)


def store_connection(password: str | None) -> str:
    from airflow import settings
    from airflow.models import Connection

    with settings.NonScopedSession() as session, session.begin():
        session.add(Connection(conn_id="github_webhook", conn_type="generic", password=password))
    return "connection:github_webhook"


def store_variable(value: str) -> str:
    from airflow.models import Variable

    Variable.set("github_webhook", value)
    return "variable:github_webhook"


# --- import ---------------------------------------------------------------------------------


def test_an_import_makes_what_the_file_says(webhooks, database, file):
    done = webhooks("import", file(PUSHES, {"name": "orders", "dag_id": "shop", "enabled": False}))
    made = stored("pushes")
    assert (done.status, done.out.splitlines()[-1]) == (0, "2 new.")
    assert (made.dag_id, made.preset, dict(made.mapping)) == ("build", "github", PUSHES["mapping"])
    assert made.verification == tuple(PRESETS["github"].verification)
    assert (secret_of("pushes"), stored("orders").enabled) == (SECRET, False)


def test_a_second_import_of_the_same_changes_nothing(webhooks, database, file):
    path = file(PUSHES)
    webhooks("import", path)
    before = (rows("webhook"), rows("secret"), audit_rows())
    done = webhooks("import", path)
    assert (done.status, done.out) == (0, "1 unchanged.\n")
    assert (rows("webhook"), rows("secret"), audit_rows()) == before


def test_a_change_is_printed_field_by_field(webhooks, sqlite_database, file):
    webhooks("import", file(PUSHES | {"mapping": {"ref": "a", "old": "1"}}))
    changed = PUSHES | {"filter": "body.ref", "mapping": {"ref": "b", "new": "2"}, "max_per_second": 5}
    done = webhooks("import", file(changed))
    assert done.out.splitlines() == [
        "~ pushes (DAG build)",
        '    mapping.ref: "a" → "b"',
        '    mapping.new: "2"',
        '    mapping.old: "1" → nothing',
        '    filter: nothing → "body.ref"',
        "    max_per_second: nothing → 5",
        "1 changed.",
    ]
    assert (stored("pushes").filter, stored("pushes").version) == ("body.ref", 2)


def test_a_dry_run_prints_the_same_and_writes_nothing(webhooks, sqlite_database, file):
    webhooks("import", file(PUSHES))
    changed = file(PUSHES | {"dag_id": "other"}, {"name": "orders", "dag_id": "shop"})
    dry = webhooks("import", changed, "--dry-run")
    assert (stored("pushes").dag_id, len(rows("webhook"))) == ("build", 1)
    assert dry.out.splitlines()[-1] == "1 new, 1 changed. Nothing was written."
    assert webhooks("import", changed).out.splitlines()[:-1] == dry.out.splitlines()[:-1]


def test_an_import_leaves_the_url_as_it_is(webhooks, sqlite_database, file):
    webhooks("import", file(PUSHES))
    before = webhooks("url", "pushes").out
    webhooks("import", file(PUSHES | {"dag_id": "other"}))
    assert webhooks("url", "pushes").out == before


def test_json_has_the_differences_and_no_secret(webhooks, sqlite_database, file):
    done = webhooks("import", file(PUSHES), "--dry-run", "-o", "json")
    (step,) = done.json
    found = {one["field"]: one.get("after") for one in step["differences"]}
    assert (step["action"], step["name"], step["dag_id"]) == ("create", "pushes", "build")
    assert (found["mapping"], found["secrets.signing"]) == (PUSHES["mapping"], "a new secret")
    assert SECRET not in done.out


@pytest.mark.parametrize("store", [store_connection, store_variable])
def test_a_secret_comes_from_where_the_file_says(webhooks, database, file, store):
    done = webhooks("import", file(PUSHES | {"secrets": {"signing": store(SECRET)}}))
    assert (done.status, secret_of("pushes")) == (0, SECRET)


def test_a_secret_that_is_another_by_now_is_taken_over(webhooks, sqlite_database, file, monkeypatch):
    path = file(PUSHES)
    webhooks("import", path)
    monkeypatch.setenv("PUSHES_SECRET", f"{SECRET} of today")
    done = webhooks("import", path)
    assert '    secrets.signing: "a secret" → "a new secret"' in done.out
    assert secret_of("pushes") == f"{SECRET} of today"
    assert SECRET not in done.out + repr(audit_rows())


def test_a_stored_secret_stays_where_the_file_names_none(webhooks, sqlite_database, file):
    webhooks("import", file(PUSHES))
    without = {name: value for name, value in PUSHES.items() if name != "secrets"}
    assert webhooks("import", file(without)).out == "1 unchanged.\n"
    assert secret_of("pushes") == SECRET


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"filter": "body.("}, "pushes: filter: line 1"),
        ({"mapping": {"a": "x", "b": "${Webhook::No}"}}, "pushes: mapping.b: "),
        ({"dag_id": " "}, "pushes: dag_id: it is empty"),
        ({"notify_failure": ["nobody"]}, "pushes: notify_failure: 'nobody'"),
        ({"verification": [{"kind": "hmac"}]}, "pushes: verification.hmac: it needs the setting header"),
        ({"secrets": {"signing": "env:NO_SUCH"}}, "secrets.signing: there is no variable 'NO_SUCH'"),
        ({"secrets": {"signing": "variable:none"}}, "secrets.signing: there is no Airflow variable"),
        ({"secrets": {"signing": "connection:none"}}, "secrets.signing: there is no Airflow connection"),
        ({"secrets": PUSHES["secrets"] | {"other": "env:PUSHES_SECRET"}}, "uses no other secret"),
    ],
    ids=str,
)
def test_what_cannot_be_used_is_named_and_nothing_is_written(
    webhooks, sqlite_database, file, fields, message
):
    done = webhooks("import", file({"name": "fine", "dag_id": "build"}, PUSHES | fields))
    assert (done.status, done.out, rows("webhook")) == (2, "", [])
    assert "hooks.yaml:" in done.err
    assert message in done.err
    assert SECRET not in done.err


def test_a_webhook_whose_file_names_no_secret_waits_for_it(webhooks, database, file):
    done = webhooks("import", file(PUSHES | {"secrets": {}}))
    assert (done.status, stored("pushes").enabled, rows("secret")) == (0, True, [])
    assert "pushes: The signing secret is missing. Choose one" in done.err


def test_all_that_is_wrong_is_reported_at_once(webhooks, sqlite_database, file):
    done = webhooks("import", file(PUSHES | {"filter": "("}, {"name": "b", "dag_id": "c", "dedup": "{{"}))
    assert [line.split(": ")[1:3] for line in done.err.splitlines()] == [["pushes", "filter"], ["b", "dedup"]]


# --- prune ----------------------------------------------------------------------------------


def test_prune_deletes_what_no_file_names(webhooks, database, file):
    store_webhook("old one")
    done = webhooks("import", file({"name": "new", "dag_id": "shop"}), "--prune", "--yes")
    assert (done.status, [row.name for row in rows("webhook")]) == (0, ["new"])
    assert "- old one (DAG orders)" in done.out


def test_prune_keeps_a_stored_webhook_that_a_file_names(webhooks, sqlite_database, file):
    path = file({"name": "new", "dag_id": "shop"})
    webhooks("import", path)
    before = rows("webhook")
    done = webhooks("import", path, "--prune", "--yes")
    assert (done.status, rows("webhook")) == (0, before)


def test_without_prune_what_no_file_names_stays(webhooks, sqlite_database, file):
    store_webhook("old one")
    webhooks("import", file({"name": "new", "dag_id": "shop"}))
    assert sorted(row.name for row in rows("webhook")) == ["new", "old one"]


@pytest.mark.parametrize(("terminal", "status"), [(False, 2), (True, 1)])
def test_prune_asks_and_a_no_changes_nothing(webhooks, sqlite_database, file, monkeypatch, terminal, status):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return terminal

    store_webhook("old one")
    monkeypatch.setattr("sys.stdin", Terminal("n\n"))
    done = webhooks("import", file({"name": "new", "dag_id": "shop"}), "--prune")
    assert (done.status, [row.name for row in rows("webhook")]) == (status, ["old one"])


def test_prune_with_a_folder_without_webhooks_deletes_nothing(webhooks, sqlite_database, tmp_path):
    store_webhook("old one")
    (tmp_path / "hooks.yaml").write_text("webhook: []\n")
    done = webhooks("import", str(tmp_path), "--prune", "--yes")
    assert (done.status, len(rows("webhook"))) == (2, 1)
    assert "Skipped" in done.err


# --- export ---------------------------------------------------------------------------------

EVERYTHING = {
    "enabled": False,
    "mapping": {"b": "${Webhook::Body.b}", "a": "2026-01-01", "no": "yes"},
    "response_content_type": "text/plain",
    "response_template": "first line\nsecond: ${Webhook::Body.b}\n",
    "response_status": 201,
    "disabled_status": 503,
    "invalid_status": 202,
    "verification": [{"kind": "header-key", "header": "X-Key", "purpose": "key"}],
    "handshake": "dropbox",
    "allowed_addresses": ["10.0.0.0/8"],
    "event_type": "${Webhook::Body.type}",
    "filter": "body.a == 1",
    "dedup": "${Webhook::Body.id}",
    "max_per_second": 7,
    "notify_success": ["a@example.com"],
    "notify_failure": ["b@example.com"],
}


def without_identity(webhook) -> dict:
    kept = {"id", "created_at", "updated_at", "version"}
    return {name: value for name, value in vars(webhook).items() if name not in kept}


def test_an_export_imports_to_the_same(webhooks, database, tmp_path):
    from inbound_webhooks.webhooks import service

    hook = store_webhook("ä: strange 'name'", **EVERYTHING)
    before = without_identity(stored(hook.name))
    (tmp_path / "e.yaml").write_text(webhooks("export").out)
    assert webhooks("import", str(tmp_path)).out == "1 unchanged.\n"
    service.delete(hook.id, actor="somebody")
    assert webhooks("import", str(tmp_path)).status == 0
    assert without_identity(stored(hook.name)) == before


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_is_exported_in_few_lines_and_back(webhooks, sqlite_database, tmp_path, preset):
    from inbound_webhooks.webhooks import service

    hook = store_webhook("hook", preset=preset, secrets=vendor_secrets(preset))
    before = without_identity(stored("hook"))
    secrets = {row.purpose for row in rows("secret")}
    text = webhooks("export", "hook", "--with-secrets").out
    assert set(yaml.safe_load(text)["webhooks"][0]) <= {"name", "dag_id", "preset", "secrets"}
    service.delete(hook.id, actor="somebody")
    (tmp_path / "e.yaml").write_text(text)
    assert webhooks("import", str(tmp_path)).status == 0
    assert without_identity(stored("hook")) == before
    assert {row.purpose for row in rows("secret")} == secrets


def test_an_export_has_no_secret_and_no_url_unless_it_is_asked_for(webhooks, sqlite_database):
    hook = store_webhook("pushes", preset="github", secrets={"signing": SECRET})
    plain, asked = webhooks("export", "pushes"), webhooks("export", "pushes", "--with-secrets")
    assert SECRET not in plain.out
    assert f"plain:{SECRET}" in asked.out
    assert hook.token not in plain.out + asked.out
    assert (plain.err, asked.err) == ("", "")


def test_an_export_says_where_secrets_stand_and_imports_anew(webhooks, database, file, tmp_path):
    from inbound_webhooks.webhooks import service

    webhooks("import", file(PUSHES))
    exported = webhooks("export").out
    assert yaml.safe_load(exported)["webhooks"] == [PUSHES]
    service.delete(stored("pushes").id, actor="somebody")
    (tmp_path / "hooks.yaml").write_text(exported)
    assert webhooks("import", str(tmp_path)).out.splitlines()[-1] == "1 new."
    assert secret_of("pushes") == SECRET


def test_a_secret_that_stands_elsewhere_now_is_a_change(webhooks, sqlite_database, file):
    webhooks("import", file(PUSHES))
    elsewhere = store_connection(SECRET)
    done = webhooks("import", file(PUSHES | {"secrets": {"signing": elsewhere}}))
    assert f'    secrets.signing: "env:PUSHES_SECRET" → "{elsewhere}"' in done.out
    assert yaml.safe_load(webhooks("export").out)["webhooks"][0]["secrets"] == {"signing": elsewhere}


def test_a_secret_that_a_person_has_typed_since_stands_nowhere(webhooks, sqlite_database, file):
    from inbound_webhooks.webhooks import service
    from inbound_webhooks.webhooks.secrets import NewSecret

    webhooks("import", file(PUSHES))
    service.rotate_secret("pushes", NewSecret("signing", "typed since"), actor="somebody", grace_hours=1)
    assert "secrets" not in webhooks("export").out


def test_an_export_of_some_has_those_and_a_missing_one_ends_with_1(webhooks, sqlite_database):
    for name in ("a", "b", "c"):
        store_webhook(name)
    found = yaml.safe_load(webhooks("export", "c", "a").out)["webhooks"]
    assert [entry["name"] for entry in found] == ["c", "a"]
    assert webhooks("export", "nobody").status == 1


def test_the_example_is_imported(webhooks, sqlite_database):
    store_connection(SECRET)
    store_dag("github_push_build")
    done = webhooks("import", str(CHECKOUT / "dags"))
    assert (done.status, done.out.splitlines()[-1]) == (0, "2 new."), done.err
