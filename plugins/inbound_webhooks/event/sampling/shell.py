"""A recipe as a shell's commands: openssl signs, curl posts; secrets are variables of the shell."""

from __future__ import annotations

from itertools import groupby

from inbound_webhooks.event.sampling.recipe import (
    Encoded,
    Encoding,
    HashOf,
    HmacOf,
    Now,
    Operation,
    RandomId,
    Recipe,
    Secret,
    SignatureOf,
    Text,
    Variable,
)
from inbound_webhooks.event.verification.scheme import DEFAULT_PURPOSE

_HEX = "od -An -v -tx1 | tr -d ' \\n'"
_PIPES: dict[Encoding, str] = {
    "hex": _HEX,
    "base64": "openssl base64 -A",
    "base64url": "openssl base64 -A | tr '+/' '-_' | tr -d '='",
}
"""Encoding -> the end of a pipe of bytes."""


def secret_name(purpose: str) -> str:
    """The shell's variable for a secret."""
    return _name("WEBHOOK_SECRET", purpose)


def key_name(purpose: str) -> str:
    """The shell's variable for the path of a private key in PEM."""
    return _name("WEBHOOK_PRIVATE_KEY", purpose)


def _name(stem: str, purpose: str) -> str:
    return stem if purpose == DEFAULT_PURPOSE else f"{stem}_{purpose.upper().replace('-', '_')}"


def curl_of(recipe: Recipe) -> str:
    """The commands that send the request, for a POSIX shell with openssl and curl."""
    lines = [f': "${{{secret_name(purpose)}:?export it first}}"' for purpose in recipe.secrets]
    lines += [
        f': "${{{key_name(purpose)}:?export the path of a private key in PEM}}"'
        for purpose in recipe.private_keys
    ]
    lines += [
        f"{one.name}=$({_command(one.operation)})" for one in recipe.variables if not _is_bare_secret(one)
    ]
    parts = [f"curl -X {recipe.method} {_quoted(recipe.whole_url)}"]
    parts += [f"-H {_quoted((f'{name}: ', *text))}" for name, text in recipe.headers]
    if recipe.method == "POST":
        parts.append(f"--data-raw {_quoted(recipe.body)}")
    return "\n".join([*lines, " \\\n  ".join(parts)])


def _is_bare_secret(variable: Variable) -> bool:
    return isinstance(variable.operation, Secret) and not variable.operation.quoted


def _quoted(text: Text) -> str:
    """A text as one word of the shell."""
    words = []
    for is_literal, parts in groupby(text, lambda part: isinstance(part, str)):
        if is_literal:
            # Double quotes would be shorter, but in them "!", "$" and backquotes have a meaning.
            literal = "".join(map(str, parts)).replace("'", "'\\''")
            words.append(f"'{literal}'" if literal else "")
        else:
            words += [f'"${_reference(part)}"' for part in parts if isinstance(part, Variable)]
    return "".join(words) or "''"


def _reference(variable: Variable) -> str:
    if isinstance(variable.operation, Secret) and not variable.operation.quoted:
        return secret_name(variable.operation.purpose)
    return variable.name


def _command(operation: Operation) -> str:
    match operation:
        case Now(unit="iso"):
            return "date -u +%Y-%m-%dT%H:%M:%S.000Z"
        case Now(unit=unit, plus_seconds=plus):
            seconds = f"echo $(($(date +%s) + {plus}))" if plus else "date +%s"
            return f"{seconds}000" if unit == "milliseconds" else seconds
        case RandomId():
            return "openssl rand -hex 12"
        case Secret(purpose=purpose, quoted=quoted):
            escape = "sed 's/[\"\\\\]/\\\\&/g'" if quoted == "json" else f"{_HEX} | sed 's/../%&/g'"
            return f'printf %s "${secret_name(purpose)}" | {escape}'
        case HmacOf():
            digest = f"openssl dgst -{operation.algorithm} {_hmac_key(operation)} -binary"
            return f"{_printed(operation.text)} | {digest} | {_PIPES[operation.encoding]}"
        case HashOf(text=text, encoding=encoding):
            return f"{_printed(text)} | openssl dgst -sha256 -binary | {_PIPES[encoding]}"
        case Encoded(text=text, encoding=encoding):
            return f"{_printed(text)} | {_PIPES[encoding]}"
        case SignatureOf():
            return _signature(operation)


def _hmac_key(operation: HmacOf) -> str:
    secret = secret_name(operation.purpose)
    if operation.base64_prefix is None:
        return f'-hmac "${secret}"'
    decoded = f'printf %s "${{{secret}#{operation.base64_prefix}}}" | openssl base64 -d -A | {_HEX}'
    return f'-mac HMAC -macopt "hexkey:$({decoded})"'


def _signature(operation: SignatureOf) -> str:
    key, printed = f'"${key_name(operation.purpose)}"', _printed(operation.text)
    if operation.kind == "ed25519":
        # It signs files only, since it reads the text twice.
        file = '"${TMPDIR:-/tmp}/webhook-signed"'
        return (
            f"{printed} > {file} && openssl pkeyutl -sign -rawin -inkey {key} -in {file}"
            f" | {_PIPES[operation.encoding]}; rm -f {file}"
        )
    return f"{printed} | openssl dgst -{operation.kind} -sign {key} -binary | {_PIPES[operation.encoding]}"


def _printed(text: Text) -> str:
    return f"printf %s {_quoted(text)}"
