"""Signs a request in Python, with the webhook's secrets."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets as random
from collections.abc import Mapping
from datetime import datetime, timezone
from urllib.parse import quote

from inbound_webhooks.errors import SampleNotSigned
from inbound_webhooks.event.charsets import of_typed_text
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
    Text,
)
from inbound_webhooks.event.verification.scheme import to_bytes


class SignedSample:
    """A recipe with its values: ``query_string``, ``headers`` and ``body``.

    :param secrets: purpose -> the secret in plain text
    :raises SampleNotSigned: a secret is missing, or only the sender has the key
    """

    def __init__(self, recipe: Recipe, secrets: Mapping[str, str], now: datetime) -> None:
        self._secrets = secrets
        self._now = now
        content_type = next(
            (str(text[0]) for name, text in recipe.headers if name.lower() == "content-type"), ""
        )
        self._charset = of_typed_text(content_type)
        self._values: dict[str, str] = {}
        for variable in recipe.variables:
            self._values[variable.name] = self._computed(variable.operation)
        self.query_string = self._text(recipe.query)
        self.headers = tuple((name, self._text(text)) for name, text in recipe.headers)
        self.body = self._bytes(recipe.body)

    def _text(self, text: Text) -> str:
        return "".join(part if isinstance(part, str) else self._values[part.name] for part in text)

    def _bytes(self, text: Text) -> bytes:
        written = self._text(text)
        try:
            return written.encode(self._charset)
        except UnicodeEncodeError:
            return to_bytes(written)

    def _computed(self, operation: Operation) -> str:
        match operation:
            case Now(unit=unit, plus_seconds=plus):
                return _written(self._now.timestamp() + plus, unit)
            case RandomId():
                return random.token_hex(12)
            case Secret(purpose=purpose, quoted=quoted):
                secret = self._secret(purpose)
                if quoted == "json":
                    return json.dumps(secret, ensure_ascii=False)[1:-1]
                return quote(secret, safe="") if quoted == "query" else secret
            case HmacOf():
                key = self._key(operation)
                digest = hmac.digest(key, self._bytes(operation.text), operation.algorithm)
                return _encoded(digest, operation.encoding)
            case HashOf(text=text, encoding=encoding):
                return _encoded(hashlib.sha256(self._bytes(text)).digest(), encoding)
            case Encoded(text=text, encoding=encoding):
                return _encoded(to_bytes(self._text(text)), encoding)
            case _:
                raise SampleNotSigned("Only the sender has the private key that signs its requests.")

    def _key(self, operation: HmacOf) -> bytes:
        secret = self._secret(operation.purpose)
        if operation.base64_prefix is None:
            return to_bytes(secret)
        if secret.startswith("whpk_"):
            raise SampleNotSigned("Only the sender has the private key that signs its requests.")
        text = secret.removeprefix(operation.base64_prefix)
        return base64.b64decode(text + "=" * (-len(text) % 4))

    def _secret(self, purpose: str) -> str:
        if purpose not in self._secrets:
            raise SampleNotSigned(f"The webhook has no valid secret for {purpose}.")
        return self._secrets[purpose]


def _encoded(value: bytes, encoding: Encoding) -> str:
    if encoding == "hex":
        return value.hex()
    if encoding == "base64":
        return base64.b64encode(value).decode()
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


def _written(seconds: float, unit: str) -> str:
    if unit == "iso":
        moment = datetime.fromtimestamp(int(seconds), timezone.utc)
        return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    return str(int(seconds) * (1000 if unit == "milliseconds" else 1))
