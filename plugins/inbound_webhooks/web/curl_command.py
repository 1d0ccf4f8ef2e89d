"""A stored request as a command for a shell."""

from __future__ import annotations

from shlex import quote

from inbound_webhooks.deliveries.stored_request import content_of, headers_of
from inbound_webhooks.errors import RequestError
from inbound_webhooks.event.redaction import MASK
from inbound_webhooks.records.delivery import Delivery

URL_VARIABLE = "$WEBHOOK_URL"

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


def curl_command(delivery: Delivery, url: str, limit_bytes: int) -> str:
    """The request of a delivery as a call of curl; masked credentials stay masked.

    :param url: the webhook's URL; empty where the user may not see it
    """
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
    if any(value == MASK for _, value in headers) or MASK in delivery.query_string:
        command = f"# Replace {MASK} with the credentials.\n{command}"
    return command


def _header(name: str, value: str) -> str:
    # curl leaves a header out whose value is empty, unless a semicolon stands in place of the colon.
    return f"{name}: {value}" if value else f"{name};"


def _body_option(delivery: Delivery, limit_bytes: int) -> str:
    try:
        text = content_of(delivery, limit_bytes).decode() if delivery.body_stored else None
    except (RequestError, UnicodeDecodeError):
        text = None
    if text is None or "\0" in text:
        return "--data-binary @body"
    # --data-raw sends a text that begins with @ as it is.
    return f"--data-raw {quote(text)}"
