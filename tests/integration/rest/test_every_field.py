"""Every field of a webhook reaches command line, form, REST, files and their schema, without naming one."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any

import jsonschema
import pytest
import yaml

from inbound_webhooks.files import schema
from inbound_webhooks.records.webhook import FIELDS, Draft, json_fields
from inbound_webhooks.records.webhook_fields import SECTIONS, WebhookField
from tests.infrastructure.webhooks_builder import store_webhook
from tests.integration.rest.conftest import new_name

ONLY_POSSIBLE = {
    "dag_id": "orders",
    "preset": "generic-hmac",  # fills no field with the value that it has here
    "logical_date": "received",
    "start_window": "22:00-06:00",
    "allowed_addresses": ["192.0.2.0/24", "2001:db8::/32"],
    "at_most_seconds": 60,  # not less than quiet_seconds
    "response_headers": {"X-Number": "${Webhook::Body.number}", "X-Note": "a note: with a colon"},
}
"""Values of fields whose kind does not say what is valid."""

BY_KIND = {
    "text": "12",  # a text, an expression, a condition and JSON
    "list": ["a@example.com", "b@example.com"],
    "objects": [{"kind": "header-key", "header": "X-Key"}],
    "mapping": {"number": "${Webhook::Body.number}", "note": "a note"},
}


def sample(field: WebhookField) -> Any:
    """A valid value that is not the default."""
    if field.name in ONLY_POSSIBLE:
        return ONLY_POSSIBLE[field.name]
    if field.choices is not None:
        return next(value for value in field.choices() if value not in (None, field.default))
    if field.kind == "boolean":
        return not field.default
    return field.minimum if field.kind == "integer" else BY_KIND[field.kind]


DEFAULTS = json_fields(Draft(name=""))
INSTEAD: dict[str, dict[str, Any]] = {
    "asset": {"dag_id": None, "wait_seconds": None, "prefer_wait": False},
    "routes": {"each": None},
    "source": {"verification": [], "handshake": None, "allowed_addresses": [], "waiting_dags": []},
}
"""Field -> the values that others have on a webhook that has it, because it excludes them."""

ALTERNATIVES = (
    ("batch_size", "batch_seconds", "batch_by"),
    ("latest_by", "quiet_seconds", "at_most_seconds"),
    ("one_at_a_time", "when_busy", "cancel_on"),
)
"""Fields that belong together, and exclude those of the other lines."""

EVERY = {name: sample(field) for name, field in FIELDS.items()}
NO_GROUPS = {name: DEFAULTS[name] for names in ALTERNATIVES for name in names}
COMMON = EVERY | {name: DEFAULTS[name] for name in INSTEAD} | NO_GROUPS
"""The fields that exclude no others."""

SAMPLES = {
    **{names[0]: COMMON | {name: EVERY[name] for name in names} for names in ALTERNATIVES},
    **{name: COMMON | {name: EVERY[name]} | INSTEAD[name] for name in INSTEAD},
}
"""Kind of webhook -> one with all fields that go with it."""


def sample_with(name: str) -> dict[str, Any]:
    """A webhook that may have a field."""
    of_group = next((names[0] for names in ALTERNATIVES if name in names), ALTERNATIVES[0][0])
    return SAMPLES[name if name in INSTEAD else of_group]


def needed_by(name: str) -> dict[str, Any]:
    """The fields without which a field cannot be set."""
    names = next((names for names in ALTERNATIVES if name in names), ())
    return {each: EVERY[each] for each in names}


def another(name: str) -> Any:
    """A value that a webhook does not have that was made with what the field needs."""
    field, value = FIELDS[name], EVERY[name]
    if name == "name":
        return new_name()
    if not needed_by(name):
        return value
    if field.choices is not None:
        return field.default
    return value + 1 if field.kind == "integer" else "13"


@pytest.fixture(params=SAMPLES)
def fields(request, pages) -> dict[str, Any]:
    of_source = {"source": store_webhook(new_name(), routes="all").id} if request.param == "source" else {}
    return SAMPLES[request.param] | {"name": new_name()} | of_source


def stored(name: str) -> dict[str, Any]:
    from inbound_webhooks.webhooks import service

    return json_fields(service.get(name))


def missing(found: dict[str, Any], expected: dict[str, Any]) -> dict[str, Any]:
    """The fields that are not there, or not as expected."""
    shown = {name: found.get(name, DEFAULTS[name]) for name in FIELDS}
    return {name: value for name, value in shown.items() if value != expected[name]}


def arguments(fields: dict[str, Any]) -> list[str]:
    """The call of `create` that sets every field that has a value."""
    call = []
    for name, value in fields.items():
        if value is None:
            continue
        field = FIELDS[name]
        if value == DEFAULTS[name]:
            continue
        values = {
            "boolean": [None],
            "mapping": [
                f"{parameter}{field.separator or '='}{text}" for parameter, text in dict(value).items()
            ]
            if field.kind == "mapping"
            else [],
            "objects": [json.dumps(item) for item in value] if field.kind == "objects" else [],
            "list": value,
        }.get(field.kind, [str(value)])
        for text in values:
            options = [field.flag] if field.flag.startswith("--") else []
            call += options if text is None else [*options, text]
    return call


class Boxes(HTMLParser):
    """What a browser would send of the form with the id `definition`."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[tuple[str, str]] = []
        self._inside = False
        self._text = False
        self._select = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "form":
            self._inside = given.get("id") == "definition"
        if not self._inside:
            return
        if tag == "input" and (given.get("type") != "checkbox" or "checked" in given):
            self.sent.append((given.get("name") or "", given.get("value") or ""))
        elif tag == "textarea":
            self._text = True
            self.sent.append((given["name"] or "", ""))
        elif tag == "select":
            self._select = given["name"] or ""
        elif tag == "option" and "selected" in given:
            self.sent.append((self._select, given.get("value") or ""))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = False
        if tag == "textarea":
            self._text = False

    def handle_data(self, data: str) -> None:
        if self._inside and self._text:
            name, text = self.sent[-1]
            self.sent[-1] = (name, (text + data).removeprefix("\r\n"))


def submitted(page: str, **changed: str) -> list[tuple[str, str]]:
    boxes = Boxes()
    boxes.feed(page)
    return [(name, changed.get(name, value)) for name, value in boxes.sent] + [("action", "save")]


@pytest.mark.parametrize("field", FIELDS.values(), ids=lambda field: field.name)
def test_a_field_is_declared_in_full(field):
    assert field.section in SECTIONS
    assert field.flag
    assert field.label
    assert field.help.endswith(".")
    assert EVERY[field.name] != field.default


def test_the_call_of_create_sets_every_field_and_show_shows_it(admin, webhooks, fields):
    done = webhooks("create", *arguments(fields), "-o", "json")
    assert done.status == 0, done.err
    assert missing(stored(fields["name"]), fields) == {}
    assert missing(webhooks("show", fields["name"], "-o", "json").json, fields) == {}


def test_list_has_the_fields_that_are_listed(admin, webhooks, fields):
    store_webhook(**fields)
    rows = [row for row in webhooks("list", "-o", "json").json if row["name"] == fields["name"]]
    listed = {name: fields[name] for name, field in FIELDS.items() if field.listed}
    assert [{name: row[name] for name in row if name != "id"} for row in rows] == [listed]


def test_a_file_has_every_field_in_both_directions(admin, webhooks, tmp_path, fields):
    file = tmp_path / "hooks.yaml"
    file.write_text(yaml.safe_dump({"webhooks": [fields]}))
    done = webhooks("import", str(file))
    assert done.status == 0, done.err
    assert missing(stored(fields["name"]), fields) == {}
    (exported,) = yaml.safe_load(webhooks("export", fields["name"]).out)["webhooks"]
    assert missing(exported, fields | named_source(fields)) == {}


def named_source(fields: dict[str, Any]) -> dict[str, Any]:
    """A file names a source, whose id is another one elsewhere."""
    from inbound_webhooks.webhooks import service

    return {"source": service.get(fields["source"]).name} if fields["source"] else {}


def test_the_schema_takes_every_field_and_knows_its_limits():
    validator = jsonschema.Draft202012Validator(schema.document())
    validator.validate({"webhooks": list(SAMPLES.values())})
    for name, field in FIELDS.items():
        assert schema.webhook_schema()["properties"][name]["description"] == field.help
        for beyond in beyond_limits(field):
            assert not validator.is_valid({"webhooks": [COMMON | {name: beyond}]}), (name, beyond)


def beyond_limits(field: WebhookField) -> list[Any]:
    """Values of the right type that the field refuses."""
    tried: list[Any] = [[1]]
    if field.choices is not None:
        tried.append(99 if field.kind == "integer" else "none of them")
    elif field.kind == "integer":
        tried += [field.minimum - 1, field.maximum + 1]
    if field.max_chars is not None:
        tried.append("x" * (field.max_chars + 1))
    return tried


@pytest.mark.parametrize("field", FIELDS.values(), ids=lambda field: field.name)
def test_a_value_beyond_the_limits_of_a_field_is_refused_by_name(admin, field):
    of_source = {"source": store_webhook(new_name(), routes="all").id} if field.name == "source" else {}
    hook = store_webhook(**sample_with(field.name) | {"name": new_name()} | of_source)
    for beyond in beyond_limits(field)[1:]:
        response = admin("PATCH", f"/webhooks/{hook.id}", {field.name: beyond})
        assert (response.status_code, response.json()["detail"][0]["loc"]) == (422, ["body", field.name])


def test_rest_takes_every_field_when_a_webhook_is_made_and_gives_it(admin, fields):
    made = admin("POST", "/webhooks", fields)
    assert made.status_code == 201, made.text
    assert missing(made.json(), fields) == {}
    assert missing(stored(fields["name"]), fields) == {}


@pytest.mark.parametrize("name", FIELDS)
def test_rest_changes_one_field_and_no_other(admin, name):
    needed = needed_by(name)
    hook = store_webhook(new_name(), enabled=False, verification=EVERY["verification"], **needed)
    made = {"name": new_name, "source": lambda: store_webhook(new_name(), routes="all").id}
    before, value = stored(hook.name), made[name]() if name in made else another(name)
    change = {name: value} | INSTEAD.get(name, {})
    response = admin("PATCH", f"/webhooks/{hook.id}", change)
    assert response.status_code == 200, response.text
    assert missing(response.json(), before | change) == {}


def test_the_form_shows_and_saves_every_field(admin, pages, fields):
    hook = store_webhook(**fields)
    ada = pages.client("ada")
    page = ada.get(f"/hook/{hook.id}").text
    other = new_name()
    response = ada.post("/new", submitted(page, name=other), script=True)
    assert response.status_code == 200, response.text
    assert missing(stored(other), fields | {"name": other}) == {}
    assert ada.post(f"/hook/{hook.id}", submitted(page), script=True).status_code == 200
    assert missing(stored(hook.name), fields) == {}


def test_the_page_names_every_field_in_its_section(admin, pages):
    page = pages.client("ada").get("/new").text
    for field in FIELDS.values():
        section = page.partition(f'id="section-{field.section}"')[2].partition('id="section-')[0]
        assert field.label in section.replace("&#39;", "'"), field.name


def test_what_a_person_wrote_of_a_listed_field_is_on_the_list(admin, pages, fields):
    store_webhook(**fields)
    page = pages.client("ada").get(f"/?text={fields['name']}").text
    shown = [fields[name] for name, field in FIELDS.items() if field.listed and field.kind == "text"]
    assert [value for value in shown if value and f">{value}<" not in page] == []
