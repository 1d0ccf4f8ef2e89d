"""How each verification scheme's sender signs a request, as a recipe."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

from inbound_webhooks.errors import SampleNotSigned
from inbound_webhooks.event import json_text
from inbound_webhooks.event.sampling.events import FORM_TYPE, SampleRequest
from inbound_webhooks.event.sampling.recipe import (
    Clock,
    Encoded,
    HashOf,
    HmacOf,
    Now,
    RandomId,
    Recipe,
    Secret,
    SignatureOf,
    Text,
    Variable,
)
from inbound_webhooks.event.verification.api_keys import Basic, BodyKey, HeaderKey, QueryKey
from inbound_webhooks.event.verification.asymmetric import Ecdsa, Ed25519, StandardWebhooks
from inbound_webhooks.event.verification.jwt_tokens import Jwt
from inbound_webhooks.event.verification.registry import RequiredScheme
from inbound_webhooks.event.verification.signed_fields import Mailgun, QueryHmac, Twilio
from inbound_webhooks.event.verification.sns import SIGNED_FIELDS, Sns
from inbound_webhooks.event.verification.symmetric import Digest, Hmac

_PLACE = re.compile(r"\{([^{}]*)\}")

# In a JSON text, a variable stands between these two characters, which senders do not use.
_OPEN, _CLOSE = "\ue000", "\ue001"
_MARKED = re.compile(f'("?){_OPEN}(\\d+)(!?){_CLOSE}("?)')

TOKEN_SECONDS = 300


def recipe_of(request: SampleRequest, url: str, verification: Sequence[RequiredScheme]) -> Recipe:
    """The request as its sender would sign it.

    :param url: the webhook's URL, without a query
    :raises SampleNotSigned: a scheme cannot be computed here, or the body lacks what it signs
    """
    recipe = Recipe(
        method=request.method,
        url=url,
        query=(request.query_string,) if request.query_string else (),
        headers=[(name, (value,)) for name, value in request.headers],
        body=(request.body,) if request.body else (),
    )
    # Keys in the body or query first: signatures cover them.
    ordered = sorted(verification, key=lambda required: not isinstance(required.scheme, (BodyKey, QueryKey)))
    for required in ordered:
        _SIGNERS[type(required.scheme)](recipe, required.scheme, required.purpose)
    return recipe


def _hmac(recipe: Recipe, scheme: Hmac, purpose: str) -> None:
    values: dict[str, Text] = {}
    if scheme.body_timestamp:
        moment = recipe.variable("TIMESTAMP", Now("milliseconds"))
        _set_in_body(recipe, {scheme.body_timestamp: moment}, as_number=True)
    if scheme.timestamp_from:
        unit: Clock = "milliseconds" if scheme.timestamp_milliseconds else "seconds"
        moment = recipe.variable("TIMESTAMP", Now(unit))
        values["timestamp"] = (moment,)
        if scheme.layout != "pairs":
            recipe.add_header(scheme.timestamp_from, moment)
    if scheme.id_from:
        identity = recipe.variable("ID", RandomId())
        values["id"] = (identity,)
        recipe.add_header(scheme.id_from, identity)
    encoding: Any = "base64" if scheme.encoding == "base64" else "hex"
    text = _filled(recipe, scheme.signed, values)
    signature = recipe.variable("SIGNATURE", HmacOf(text, purpose, scheme.algorithm, encoding))
    if scheme.layout == "pairs":
        time = (f"{scheme.timestamp_from}=", *values["timestamp"], ",") if scheme.timestamp_from else ()
        recipe.add_header(scheme.header, *time, f"{scheme.prefix}=", signature)
    else:
        recipe.add_header(scheme.header, scheme.prefix, signature)


def _digest(recipe: Recipe, scheme: Digest, purpose: str) -> None:
    secret = recipe.variable("SECRET", Secret(purpose))
    signature = recipe.variable("SIGNATURE", HashOf((secret, *_filled(recipe, scheme.signed, {}))))
    recipe.add_header(scheme.header, signature)


def _basic(recipe: Recipe, scheme: Basic, purpose: str) -> None:
    secret = recipe.variable("SECRET", Secret(purpose))
    encoded = recipe.variable("CREDENTIALS", Encoded((f"{scheme.username}:", secret), "base64"))
    recipe.add_header("Authorization", "Basic ", encoded)


def _header_key(recipe: Recipe, scheme: HeaderKey, purpose: str) -> None:
    prefix = scheme.prefix and f"{scheme.prefix.strip()} "
    recipe.add_header(scheme.header, prefix, recipe.variable("SECRET", Secret(purpose)))


def _query_key(recipe: Recipe, scheme: QueryKey, purpose: str) -> None:
    recipe.add_query(scheme.field, recipe.variable("KEY", Secret(purpose, "query")))


def _body_key(recipe: Recipe, scheme: BodyKey, purpose: str) -> None:
    body = _json_body(recipe)
    items = body.get(scheme.items) if isinstance(body, dict) else None
    if not isinstance(items, list) or not items or not all(isinstance(item, dict) for item in items):
        raise SampleNotSigned(f"The body needs a list {scheme.items} of objects.")
    key = recipe.variable("KEY", Secret(purpose, "json"))
    for item in items:
        item[scheme.field] = _mark(recipe, key)
    _write_body(recipe, body)


def _ed25519(recipe: Recipe, scheme: Ed25519, purpose: str) -> None:
    moment = recipe.variable("TIMESTAMP", Now("seconds"))
    encoding: Any = "base64" if scheme.encoding == "base64" else "hex"
    signature = SignatureOf((moment, *recipe.body), purpose, "ed25519", encoding)
    recipe.add_header(scheme.timestamp_from, moment)
    recipe.add_header(scheme.header, recipe.variable("SIGNATURE", signature))


def _ecdsa(recipe: Recipe, scheme: Ecdsa, purpose: str) -> None:
    moment = recipe.variable("TIMESTAMP", Now("seconds"))
    signature = SignatureOf((moment, *recipe.body), purpose, "sha256", "base64")
    recipe.add_header(scheme.timestamp_from, moment)
    recipe.add_header(scheme.header, recipe.variable("SIGNATURE", signature))


_JWT_KINDS: dict[str, Any] = {"RS256": "sha256", "EdDSA": "ed25519"}
_JWT_HMACS = {"HS256": "sha256", "HS384": "sha384", "HS512": "sha512"}


def _jwt(recipe: Recipe, scheme: Jwt, purpose: str) -> None:
    algorithm = next((one for one in scheme.algorithms if one in {**_JWT_KINDS, **_JWT_HMACS}), None)
    if algorithm is None:
        raise SampleNotSigned(f"Tokens of the kind {scheme.algorithms[0]} cannot be made here.")
    claims: dict[str, Any] = {"exp": _mark_number(recipe, _expiry(recipe))}
    named = {"iss": scheme.issuer, "aud": scheme.audience, "sub": scheme.subject, "email": scheme.email}
    claims |= {name: value for name, value in named.items() if value}
    if scheme.email:
        claims["email_verified"] = True
    if scheme.body_hash_claim:
        claims[scheme.body_hash_claim] = _mark(recipe, recipe.variable("BODY_HASH", HashOf(recipe.body)))
    head = Encoded((json.dumps({"alg": algorithm, "typ": "JWT"}),), "base64url")
    parts = (
        recipe.variable("HEAD", head),
        ".",
        recipe.variable(
            "CLAIMS", Encoded(_unmarked(recipe, json.dumps(claims, ensure_ascii=False)), "base64url")
        ),
    )
    operation: HmacOf | SignatureOf
    if algorithm in _JWT_HMACS:
        operation = HmacOf(parts, purpose, _JWT_HMACS[algorithm], "base64url")
    else:
        operation = SignatureOf(parts, purpose, _JWT_KINDS[algorithm], "base64url")
    signature = recipe.variable("SIGNATURE", operation)
    recipe.add_header(scheme.header, scheme.prefix, *parts, ".", signature)


def _expiry(recipe: Recipe) -> Variable:
    return recipe.variable("EXPIRY", Now("seconds", TOKEN_SECONDS))


def _mailgun(recipe: Recipe, _scheme: Mailgun, purpose: str) -> None:
    moment = recipe.variable("TIMESTAMP", Now("seconds"))
    token = recipe.variable("TOKEN", RandomId())
    signature = recipe.variable("SIGNATURE", HmacOf((moment, token), purpose, "sha256", "hex"))
    _set_in_body(recipe, {"signature": {"timestamp": moment, "token": token, "signature": signature}})


def _query_hmac(recipe: Recipe, scheme: QueryHmac, purpose: str) -> None:
    if any(isinstance(part, Variable) for part in recipe.query):
        raise SampleNotSigned("A query with a key cannot be signed here.")
    fields = parse_qsl("".join(map(str, recipe.query)), keep_blank_values=True)
    text = "&".join(sorted(f"{name}={value}" for name, value in fields if name != scheme.field))
    recipe.add_query(scheme.field, recipe.variable("SIGNATURE", HmacOf((text,), purpose, "sha256", "hex")))


def _sns(recipe: Recipe, _scheme: Sns, purpose: str) -> None:
    body = _json_body(recipe)
    if not isinstance(body, dict) or body.get("Type") not in SIGNED_FIELDS:
        raise SampleNotSigned("The body is not a message of Amazon SNS.")
    body["Timestamp"] = _mark(recipe, recipe.variable("TIMESTAMP", Now("iso")))
    version = body.setdefault("SignatureVersion", "1")
    signed = "".join(
        f"{name}\n{body[name]}\n" for name in SIGNED_FIELDS[body["Type"]] if isinstance(body.get(name), str)
    )
    kind: Any = "sha256" if version == "2" else "sha1"
    signature = SignatureOf(_unmarked(recipe, signed), purpose, kind, "base64")
    body["Signature"] = _mark(recipe, recipe.variable("SIGNATURE", signature))
    _write_body(recipe, body)


def _standard(recipe: Recipe, scheme: StandardWebhooks, purpose: str) -> None:
    identity = recipe.variable("ID", RandomId())
    moment = recipe.variable("TIMESTAMP", Now("seconds"))
    text = ("msg_", identity, ".", moment, ".", *recipe.body)
    signature = HmacOf(text, purpose, "sha256", "base64", base64_prefix="whsec_")
    recipe.add_header(f"{scheme.header_prefix}id", "msg_", identity)
    recipe.add_header(f"{scheme.header_prefix}timestamp", moment)
    recipe.add_header(f"{scheme.header_prefix}signature", "v1,", recipe.variable("SIGNATURE", signature))


def _twilio(recipe: Recipe, scheme: Twilio, purpose: str) -> None:
    content_type = next((text[0] for name, text in recipe.headers if name.lower() == "content-type"), "")
    fields: tuple[str, ...] = ()
    if str(content_type).startswith(FORM_TYPE):
        if any(isinstance(part, Variable) for part in recipe.body):
            raise SampleNotSigned("A form with a key in it cannot be signed here.")
        pairs = set(parse_qsl("".join(map(str, recipe.body)), keep_blank_values=True))
        fields = ("".join(name + value for name, value in sorted(pairs)),)
    else:
        recipe.add_query("bodySHA256", recipe.variable("BODY_HASH", HashOf(recipe.body)))
    text = (*recipe.whole_url, *fields)
    recipe.add_header(scheme.header, recipe.variable("SIGNATURE", HmacOf(text, purpose, "sha1", "base64")))


_SIGNERS: dict[type, Callable[[Recipe, Any, str], None]] = {
    Basic: _basic,
    BodyKey: _body_key,
    Digest: _digest,
    Ecdsa: _ecdsa,
    Ed25519: _ed25519,
    HeaderKey: _header_key,
    Hmac: _hmac,
    Jwt: _jwt,
    Mailgun: _mailgun,
    QueryHmac: _query_hmac,
    QueryKey: _query_key,
    Sns: _sns,
    StandardWebhooks: _standard,
    Twilio: _twilio,
}
"""Scheme -> what its sender adds to a request."""


# --- texts ----------------------------------------------------------------------------------


def _filled(recipe: Recipe, signed: str, values: Mapping[str, Text]) -> Text:
    """The signed text: pieces at odd positions are names of values, the others literal text."""
    known = {"body": recipe.body, "url": recipe.whole_url, "method": (recipe.method,), **values}
    parts: list[str | Variable] = []
    for position, piece in enumerate(_PLACE.split(signed)):
        parts += known[piece] if position % 2 else ([piece] if piece else [])
    return tuple(parts)


def _json_body(recipe: Recipe) -> Any:
    """The body as a JSON value, with marks in place of variables."""
    text = "".join(part if isinstance(part, str) else _mark(recipe, part) for part in recipe.body)
    try:
        return json_text.parse(text)
    except json_text.JsonRefused:
        raise SampleNotSigned("The body is not JSON, and its sender signs a field of it.") from None


def _set_in_body(recipe: Recipe, fields: Mapping[str, Any], *, as_number: bool = False) -> None:
    body = _json_body(recipe)
    if not isinstance(body, dict):
        raise SampleNotSigned("The body is not a JSON object, and its sender signs a field of it.")
    mark = _mark_number if as_number else _mark
    for name, value in fields.items():
        is_object = isinstance(value, Mapping)
        body[name] = (
            {key: mark(recipe, one) for key, one in value.items()} if is_object else mark(recipe, value)
        )
    _write_body(recipe, body)


def _write_body(recipe: Recipe, body: Any) -> None:
    recipe.body = _unmarked(recipe, json.dumps(body, indent=2, ensure_ascii=False))


def _mark(recipe: Recipe, variable: Variable) -> str:
    return f"{_OPEN}{recipe.variables.index(variable)}{_CLOSE}"


def _mark_number(recipe: Recipe, variable: Variable) -> str:
    """A mark that stands for a number: without the quotation marks around it."""
    return f"{_OPEN}{recipe.variables.index(variable)}!{_CLOSE}"


def _unmarked(recipe: Recipe, text: str) -> Text:
    parts: list[str | Variable] = []
    position = 0
    for found in _MARKED.finditer(text):
        before, number, is_number, after = found.groups()
        literal = text[position : found.start()] + ("" if is_number else before)
        index = int(number)
        if index >= len(recipe.variables):
            raise SampleNotSigned("The body has characters that cannot be signed here.")
        parts += [literal, recipe.variables[index]]
        rest = "" if is_number else after
        position = found.end() - len(rest)
    parts.append(text[position:])
    return tuple(part for part in parts if part)
