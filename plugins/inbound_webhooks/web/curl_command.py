"""A stored request as a command for a shell."""

from __future__ import annotations

from shlex import quote

from inbound_webhooks.deliveries.stored_request import content_of, headers_of
from inbound_webhooks.errors import RequestError, SampleNotSigned
from inbound_webhooks.event.redaction import MASK
from inbound_webhooks.event.sampling.events import SampleRequest
from inbound_webhooks.event.sampling.shell import curl_of
from inbound_webhooks.event.sampling.signing import recipe_of
from inbound_webhooks.event.verification.registry import read_scheme
from inbound_webhooks.records.delivery import Delivery
from inbound_webhooks.records.webhook import Webhook

URL_VARIABLE = "$WEBHOOK_URL"
_REPLACE = f"# Replace {MASK} with the credentials."

# curl writes these itself, or they describe the connection or the compression of the original request.
_LEFT_OUT = frozenset(
    {
        "host",
        "content-length",
        "content-encoding",
        "accept-encoding",
        "connection",
        "transfer-encoding",
        "expect",
        "keep-alive",
        "upgrade",
        "te",
        "trailer",
    }
)


def curl_command(delivery: Delivery, url: str, limit_bytes: int, webhook: Webhook | None = None) -> str:
    """The request of a delivery as a call of curl; masked credentials stay masked.

    :param url: the webhook's URL; empty where the user may not see it
    :param webhook: whose signature the command computes, with a secret that the shell has in a variable
    """
    if webhook is not None and url and (signed := _signed(delivery, url, limit_bytes, webhook)):
        return signed
    query = f"?{delivery.query_string}" if delivery.query_string else ""
    # In double quotes, so that the shell puts the variable's value in; the query is quoted by itself.
    target = quote(url + query) if url else f'"{URL_VARIABLE}"{quote(query) if query else ""}'
    lines = [f"curl {target}"]
    headers = [pair for pair in headers_of(delivery) if pair[0].lower() not in _LEFT_OUT]
    lines += [f"-H {quote(_header(name, value))}" for name, value in headers]
    if not any(name.lower() == "content-type" for name, _ in headers):
        lines.append("-H 'Content-Type:'")  # curl would send that of a form
    lines.append(_body_option(delivery, limit_bytes))
    command = " \\\n  ".join(lines)
    is_masked = any(value == MASK for _, value in headers) or MASK in delivery.query_string
    return f"{_REPLACE}\n{command}" if is_masked else command


def _signed(delivery: Delivery, url: str, limit_bytes: int, webhook: Webhook) -> str:
    """The same with a signature of now; empty where a shell cannot make it, or nothing was masked."""
    text = _text_of(delivery, limit_bytes)
    headers = tuple(pair for pair in headers_of(delivery) if pair[0].lower() not in _LEFT_OUT)
    can_sign = bool(webhook.verification) and any(value == MASK for _, value in headers)
    # What was masked in the query or in the body is no part that could be computed again.
    if not can_sign or text is None or MASK in delivery.query_string or MASK in text:
        return ""
    if not any(name.lower() == "content-type" for name, _ in headers):
        headers = (*headers, ("Content-Type", ""))  # curl would send that of a form
    request = SampleRequest(body=text, headers=headers, query_string=delivery.query_string)
    schemes = [read_scheme(settings) for settings in webhook.verification]
    try:
        recipe = recipe_of(request, url, schemes)
    except SampleNotSigned:
        return ""
    command = curl_of(recipe)
    return f"{_REPLACE}\n{command}" if (MASK,) in dict(recipe.headers).values() else command


def _header(name: str, value: str) -> str:
    # curl leaves a header out whose value is empty, unless a semicolon stands in place of the colon.
    return f"{name}: {value}" if value else f"{name};"


def _text_of(delivery: Delivery, limit_bytes: int) -> str | None:
    """The body as a word of the shell can hold it; None for any other."""
    try:
        text = content_of(delivery, limit_bytes).decode() if delivery.body_stored else None
    except (RequestError, UnicodeDecodeError):
        return None
    return None if text is None or "\0" in text else text


def _body_option(delivery: Delivery, limit_bytes: int) -> str:
    text = _text_of(delivery, limit_bytes)
    if text is None:
        return "--data-binary @body"
    # --data-raw sends a text that begins with @ as it is.
    return f"--data-raw {quote(text)}"
