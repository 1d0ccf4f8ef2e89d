"""A name that equals another webhook's id: the id wins, and no webhook gets such a name any more."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.infrastructure.webhooks_builder import ACTOR, change_webhook, rows, store_webhook

REASON = "it is the id of another webhook; choose another name"


@pytest.fixture
def hook(database):
    return store_webhook("orders of the shop")


@pytest.fixture
def impostor(hook):
    """A webhook from before the rule, whose name is the id of ``hook``."""
    other = store_webhook("of another team")
    change_webhook(other.id, name=hook.id)
    return other


def enabled() -> dict[str, bool]:
    return {row.id: row.enabled for row in rows("webhook")}


def names() -> set[str]:
    return {row.name for row in rows("webhook")}


# --- an exact id wins -----------------------------------------------------------------------


def test_disable_by_id_disables_the_webhook_with_that_id(webhooks, hook, impostor):
    done = webhooks("disable", hook.id)
    assert (done.status, done.out) == (0, "Disabled orders of the shop.\n")
    assert enabled() == {hook.id: False, impostor.id: True}


@pytest.mark.parametrize(
    "call",
    [("show", "-o", "json"), ("url",), ("rotate",), ("export",), ("deliveries", "-o", "json")],
    ids=lambda call: call[0],
)
def test_a_command_takes_the_id_for_the_webhook_with_that_id(webhooks, hook, impostor, call):
    done = webhooks(call[0], hook.id, *call[1:])
    assert done.status == 0
    assert impostor.id not in done.out + done.err
    assert [row.webhook_id for row in rows("token")] == sorted_by_creation(hook, impostor, call)


def sorted_by_creation(hook, impostor, call: tuple[str, ...]) -> list[str]:
    """The webhooks of the tokens in the order of their ids: a rotation replaces the one of ``hook``."""
    return [impostor.id, hook.id] if call[0] == "rotate" else [hook.id, impostor.id]


def test_delete_by_id_leaves_the_webhook_of_that_name(webhooks, hook, impostor):
    assert webhooks("delete", hook.id, "--yes").status == 0
    assert list(enabled()) == [impostor.id]


def test_a_name_that_is_no_id_still_finds_its_webhook(webhooks, hook, impostor):
    assert webhooks("disable", hook.name).status == 0
    assert enabled() == {hook.id: False, impostor.id: True}


def test_a_webhook_of_such_a_name_is_reached_by_its_own_id_and_can_be_changed(webhooks, hook, impostor):
    from inbound_webhooks.webhooks import service
    from inbound_webhooks.webhooks.service import Draft

    stored = service.get(impostor.id)
    draft = Draft(name=stored.name, dag_id="orders", filter="body.a")
    service.change(impostor.id, draft, version=stored.version, actor=ACTOR)
    assert webhooks("disable", impostor.id).status == 0
    assert enabled() == {hook.id: True, impostor.id: False}


def test_such_a_name_finds_its_webhook_once_the_other_one_is_deleted(webhooks, hook, impostor):
    from inbound_webhooks.webhooks import service

    service.delete(hook.id, actor=ACTOR)
    assert service.get(hook.id).id == impostor.id


# --- such a name is refused -----------------------------------------------------------------


def test_create_refuses_the_id_of_another_webhook_as_a_name(webhooks, hook):
    done = webhooks("create", hook.id, "--dag-id", "orders")
    assert (done.status, done.out, done.err) == (2, "", f"name: {REASON}\n")
    assert names() == {hook.name}


def test_a_rename_to_the_id_of_another_webhook_is_refused(hook):
    from inbound_webhooks.errors import InvalidDefinition
    from inbound_webhooks.webhooks import service
    from inbound_webhooks.webhooks.service import Draft

    other = store_webhook("of another team")
    with pytest.raises(InvalidDefinition) as raised:
        service.change(other.id, Draft(name=hook.id, dag_id="orders"), version=1, actor=ACTOR)
    assert (raised.value.problem.field, raised.value.problem.message) == ("name", REASON)
    assert names() == {hook.name, other.name}


def test_a_name_of_ten_letters_that_is_no_id_is_allowed(hook):
    assert store_webhook("production").name in names()


@pytest.mark.parametrize("options", [(), ("--dry-run",)], ids=["applied", "dry run"])
def test_an_import_refuses_such_a_name_and_writes_nothing(webhooks, hook, tmp_path: Path, options):
    file = tmp_path / "hooks.yaml"
    entries = [{"name": name, "dag_id": "orders"} for name in ("a first one", hook.id)]
    file.write_text(yaml.safe_dump({"webhooks": entries}, sort_keys=False))
    done = webhooks("import", str(file), *options)
    assert (done.status, names()) == (2, {hook.name})
    assert done.err == f"{file}:4: {hook.id}: name: {REASON}\n"


def test_an_import_still_changes_a_webhook_of_such_a_name(webhooks, hook, impostor, tmp_path: Path):
    file = tmp_path / "hooks.yaml"
    entry = {"name": hook.id, "dag_id": "orders", "filter": "body.a"}
    file.write_text(yaml.safe_dump({"webhooks": [entry]}))
    assert webhooks("import", str(file)).status == 0
    assert {row.id: row.filter for row in rows("webhook")} == {hook.id: None, impostor.id: "body.a"}
