"""Every failure has a message, and each kind of caller can recognise its own."""

from __future__ import annotations

import inspect

import pytest

from inbound_webhooks import errors
from inbound_webhooks.errors import (
    BodyTooLarge,
    ConfigurationError,
    ContentRefused,
    DefinitionError,
    DispatchError,
    InvalidDefinition,
    InvalidSetting,
    ParameterRefused,
    Problem,
    RequestError,
    TemplateRefused,
    Unavailable,
    WebhookError,
)

ALL = [made for _, made in inspect.getmembers(errors, inspect.isclass) if issubclass(made, WebhookError)]
OF_A_SENTENCE = [made for made in ALL if made.__init__ is WebhookError.__init__]


@pytest.mark.parametrize("error", ALL)
def test_every_error_has_a_sentence_of_its_own(error):
    assert error.__doc__ != error.__base__.__doc__
    assert inspect.getdoc(error).endswith(".") or "; " in inspect.getdoc(error)
    assert "\n" not in inspect.getdoc(error)


@pytest.mark.parametrize("error", OF_A_SENTENCE)
def test_the_docstring_is_the_default_message(error):
    assert error().message == str(error()) == inspect.getdoc(error)
    assert error("Something else.").message == "Something else."


@pytest.mark.parametrize(
    ("error", "message", "facts"),
    [
        (
            InvalidSetting("max_body_bytes", "-1", "a whole number"),
            "[inbound_webhooks] max_body_bytes = '-1' is not a whole number.",
            {"name": "max_body_bytes"},
        ),
        (
            InvalidDefinition("dag_id", "it is empty"),
            "dag id: it is empty",
            {"problem": Problem("it is empty", "dag_id")},
        ),
        (
            InvalidDefinition("mapping", "line 1", "number"),
            "mapping number: line 1",
            {"problem": Problem("line 1", "mapping", "number")},
        ),
        (
            TemplateRefused("call is not allowed here", 2, 14),
            "line 2, column 14: call is not allowed here",
            {"line": 2, "column": 14, "reason": "call is not allowed here"},
        ),
        (BodyTooLarge(2048), "The body is larger than 2048 bytes.", {"limit_bytes": 2048}),
        (
            BodyTooLarge(2048, inflated=True),
            "The decompressed body is larger than 2048 bytes.",
            {"limit_bytes": 2048},
        ),
        (
            ParameterRefused("size", "expected integer, not string"),
            "parameter size: expected integer, not string",
            {"parameter": "size"},
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, WebhookError) else "",
)
def test_an_error_with_facts_says_them_and_keeps_them(error, message, facts):
    assert error.message == message
    assert {name: getattr(error, name) for name in facts} == facts


def test_each_error_belongs_to_exactly_one_family():
    families = (ConfigurationError, DefinitionError, RequestError, DispatchError)
    for error in ALL:
        assert sum(issubclass(error, family) for family in families) <= 1


def test_only_content_of_a_verified_sender_is_kept_for_a_replay():
    kept = {error.__name__ for error in ALL if issubclass(error, ContentRefused)}
    unusable = {"BodyMalformed", "QueryMalformed", "ParameterRefused", "ScheduleRefused", "ExpressionFailed"}
    of_lists = {"ListTooLong", "ConfsTooLarge", "NoneAccepted"}
    assert kept == {"ContentRefused", "PartitionKeyRefused", *unusable, *of_lists}


@pytest.mark.parametrize("error", [made for made in ALL if issubclass(made, Unavailable)])
def test_our_own_problems_say_when_to_try_again(error):
    assert 1 <= error.retry_after_seconds <= 60


def test_only_what_cannot_heal_is_permanent():
    permanent = {e.__name__ for e in ALL if issubclass(e, DispatchError) and e.permanent}
    assert permanent == {"RunRefused", "LogicalDateTaken"}
