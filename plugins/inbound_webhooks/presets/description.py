"""Describes presets in words: for the table of presets, and for users at a terminal."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from inbound_webhooks.event.verification.registry import read_scheme
from inbound_webhooks.event.verification.symmetric import Hmac
from inbound_webhooks.presets.preset import BODY_HASH, Preset

NOTHING = "none"

SCHEME_WORDS: dict[str, Callable[[Any], str]] = {
    "basic": lambda scheme: "Basic, user and password",
    "body-key": lambda scheme: f"key in {scheme.items}[].{scheme.field} of the body",
    "digest": lambda scheme: f"SHA-256 in {scheme.header}",
    "ecdsa": lambda scheme: f"ECDSA P-256 in {scheme.header}",
    "ed25519": lambda scheme: f"Ed25519 in {scheme.header}",
    "header-key": lambda scheme: f"{scheme.prefix}key in {scheme.header}",
    "hmac": lambda scheme: (
        f"HMAC-{scheme.algorithm.upper()}{_encoding(scheme)} in {scheme.header}{_time(scheme)}"
    ),
    "jwt": lambda scheme: f"JWT ({', '.join(scheme.algorithms)}) in {scheme.header}",
    "mailgun": lambda scheme: "HMAC-SHA256 of time and token in the body",
    "query-hmac": lambda scheme: f"HMAC-SHA256 in {scheme.field} of the query",
    "query-key": lambda scheme: f"key in {scheme.field} of the query",
    "sns": lambda scheme: "RSA over the fields of the body",
    "standard-webhooks": lambda scheme: f"HMAC-SHA256 or Ed25519 in {scheme.header_prefix}signature",
    "twilio": lambda scheme: f"HMAC-SHA1 of URL and form in {scheme.header}",
}
"""Kind of verification scheme -> function from a scheme to its place and method."""

HANDSHAKE_WORDS = {
    "cloudevents": "OPTIONS: WebHook-Allowed-Origin",
    "discord": "PING answered",
    "dropbox": "challenge sent back",
    "event-grid": "validationCode sent back",
    "graph": "validationToken sent back",
    "meta": "hub.challenge, for the verify token",
    "okta": "challenge sent back",
    "sharepoint": "validationToken sent back",
    "slack": "challenge sent back",
    "sns": "link to confirm, shown by show",
    "twitter": "crc_token signed",
    "zoom": "plainToken signed",
}
"""Name of a handshake -> the sender's request and the response."""

WITHOUT_VERIFICATION = "the URL alone"

_ONE_EXPRESSION = re.compile(r"\$\{Webhook::([^{}]+)\}")


def scheme_in_words(preset: Preset) -> str:
    """A preset's verification schemes; those that a webhook may omit are marked as optional."""
    optional = {secret.purpose for secret in preset.secrets if secret.optional}
    words = []
    for settings in preset.verification:
        required = read_scheme(settings)
        suffix = " (optional)" if required.purpose in optional else ""
        words.append(SCHEME_WORDS[settings["kind"]](required.scheme) + suffix)
    return ", ".join(words) or WITHOUT_VERIFICATION


def _encoding(scheme: Hmac) -> str:
    return " (Base64)" if scheme.encoding == "base64" else ""


def _time(scheme: Hmac) -> str:
    signs_time = scheme.timestamp_from or scheme.body_timestamp
    return f", {scheme.tolerance_seconds:g} s" if signs_time and scheme.tolerance_seconds else ""


def handshake_in_words(preset: Preset) -> str:
    """The handshake of a preset's sender."""
    return NOTHING if preset.handshake is None else HANDSHAKE_WORDS[preset.handshake]


def expression_in_words(source: str | None) -> str:
    """An expression without the syntax that all share: ``Headers.X-GitHub-Delivery``."""
    if source is None:
        return NOTHING
    if source == BODY_HASH:
        return "hash of the body"
    found = _ONE_EXPRESSION.fullmatch(source)
    return found[1] if found else source


def dedup_in_words(preset: Preset) -> str:
    """The deduplication key, and its alternative if the sender does not sign it."""
    words = expression_in_words(preset.dedup)
    if preset.dedup_alternative is None:
        return words
    return f"{words}, or {expression_in_words(preset.dedup_alternative)}"


def as_data(preset: Preset) -> dict[str, Any]:
    """A preset as JSON, with ``{url}`` and ``{secret}`` still in its steps."""
    fields = {
        name: list(value) if isinstance(value, tuple) else value for name, value in vars(preset).items()
    }
    fields |= {
        "verification": [dict(settings) for settings in preset.verification],
        "secrets": [dict(vars(secret)) for secret in preset.secrets],
        "mapping_example": dict(preset.mapping_example),
        "sample": vars(preset.sample)
        | {"headers": dict(preset.sample.headers), "query": dict(preset.sample.query)},
    }
    return {"name": fields.pop("name"), "sender": fields.pop("title")} | fields


def numbered(steps: list[str]) -> list[str]:
    """Steps with their numbers, a line each."""
    return [f"{number}. {step}" for number, step in enumerate(steps, 1)]


def secret_lines(preset: Preset) -> list[str]:
    """A line for each secret: purpose, name and place at the sender's, and who chooses it."""
    return [
        f"{secret.purpose}: {secret.label}. {secret.help}"
        + (" You choose it." if secret.chosen_here else "")
        + (" It is optional." if secret.optional else "")
        for secret in preset.secrets
    ]


def response_lines(preset: Preset) -> list[str]:
    """The responses that this kind of sender receives."""
    lines = [
        f"{preset.response_status or 202} accepted",
        f"{preset.disabled_status} while the webhook is disabled",
        f"{preset.invalid_status} if a value violates the DAG's params; the event is kept",
    ]
    if preset.response_template is not None:
        lines.append(f"{preset.response_content_type}: {preset.response_template}")
    return lines


def mapping_of(lines: Mapping[str, str]) -> list[str]:
    """``PARAMETER=EXPRESSION`` of each line."""
    return [f"{name}={expression}" for name, expression in lines.items()]
