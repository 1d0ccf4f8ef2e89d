"""The section [inbound_webhooks]: every option once, read and checked."""

from __future__ import annotations

from dataclasses import fields

import pytest

from inbound_webhooks.errors import InvalidSetting
from inbound_webhooks.settings import SECTION, Settings, option_descriptions

NAMES = [option.name for option in fields(Settings)]


@pytest.fixture
def configure(monkeypatch):
    """A function that sets options as Airflow's environment variables do."""

    def set_options(**options: str) -> None:
        for name, value in options.items():
            monkeypatch.setenv(f"AIRFLOW__{SECTION.upper()}__{name.upper()}", value)

    return set_options


def test_the_contracts_defaults_hold():
    settings = Settings()
    assert settings.public_url == ""
    assert settings.max_body_bytes == 2_097_152
    assert settings.dispatcher_enabled is True
    assert settings.max_concurrent_requests == 16
    assert settings.body_timeout_seconds == 10


def test_without_configuration_the_defaults_are_read():
    assert Settings.load() == Settings()


def test_each_type_is_read_from_the_environment(configure):
    configure(public_url=" https://hooks.example.com ", max_body_bytes="1024", body_timeout_seconds="2.5")
    settings = Settings.load()
    assert settings.public_url == "https://hooks.example.com"
    assert settings.max_body_bytes == 1024
    assert settings.body_timeout_seconds == 2.5


@pytest.mark.parametrize(
    ("written", "value"),
    [
        *((written, True) for written in ("True", "true", "t", "1")),
        *((written, False) for written in ("False", "FALSE", "f", "0")),
    ],
)
def test_a_boolean_is_read_as_airflow_does(configure, written, value):
    configure(dispatcher_enabled=written)
    assert Settings.load().dispatcher_enabled is value


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("max_body_bytes", "2 MiB", "a whole number"),
        ("max_body_bytes", "1.5", "a whole number"),
        ("max_body_bytes", "", "a whole number"),
        ("max_body_bytes", "0", "a whole number of at least 1"),
        ("max_body_bytes", "-1", "a whole number of at least 1"),
        ("body_timeout_seconds", "soon", "a number"),
        ("body_timeout_seconds", "nan", "a number of at least 0.1"),
        ("body_timeout_seconds", "0", "a number of at least 0.1"),
        ("dispatcher_enabled", "maybe", "True or False"),
        ("dispatcher_enabled", "", "True or False"),
        ("dispatcher_batch_size", "0", "a whole number of at least 1"),
        ("dispatcher_poll_seconds", "-1", "a number of at least 0.05"),
        ("max_concurrent_requests", "0", "a whole number of at least 1"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_by_name(configure, name, value, expected):
    configure(**{name: value})
    with pytest.raises(InvalidSetting) as caught:
        Settings.load()
    assert caught.value.message == f"[inbound_webhooks] {name} = {value!r} is not {expected}."


@pytest.mark.parametrize("value", ["inf", "-inf", "1e999"])
def test_a_time_has_an_end(configure, value):
    configure(body_timeout_seconds=value)
    with pytest.raises(InvalidSetting, match="body_timeout_seconds"):
        Settings.load()


def test_airflow_gets_every_option_with_type_default_and_help():
    described = option_descriptions()
    assert list(described) == NAMES
    for name, option in described.items():
        assert option["default"] == str(getattr(Settings(), name))
        assert option["type"] in ("string", "integer", "float", "boolean")
        assert option["description"].endswith(".")


UNITS = (
    *("_bytes", "_seconds", "_size", "_requests", "_per_address", "_backlog", "_connections", "_days"),
    *("_back_tests", "_previews", "_percent", "_per_minute", "_items", "_parts", "_work"),
    *("_searches", "_deliveries", "_jobs", "_listeners", "_waiters", "_runs", "_held", "_per_request"),
)
WITHOUT_UNIT = (
    *("public_url", "docs_url", "dispatcher_enabled", "trusted_proxies", "rate_limit_storage_uri"),
    *("email_subject", "email_html", "operator_emails", "store_bodies", "grant_plugins_permission"),
)


def test_units_stand_in_the_names():
    for name in NAMES:
        if name not in WITHOUT_UNIT:
            assert name.endswith(UNITS), name
