"""Validates the addresses that notifications go to."""

from __future__ import annotations

from collections.abc import Sequence

from email_validator import EmailNotValidError, validate_email

from inbound_webhooks.errors import InvalidDefinition
from inbound_webhooks.storage.tables import EMAIL_ADDRESS_CHARS

MAX_RECIPIENTS = 50


def check_recipients(field: str, addresses: Sequence[str]) -> None:
    """Check that mail can be sent to each address.

    Domains need not be public: an organisation's internal ones are fine. Nor need they be ASCII.

    :raises InvalidDefinition: names the address and the reason
    """
    if len(addresses) > MAX_RECIPIENTS:
        raise InvalidDefinition(field, f"there are more than {MAX_RECIPIENTS} addresses")
    if len(set(addresses)) < len(addresses):
        raise InvalidDefinition(field, "the same address is listed twice")
    for address in addresses:
        if len(address) > EMAIL_ADDRESS_CHARS:
            raise InvalidDefinition(field, f"{address!r} is too long")
        try:
            envelope_address(address)
        except EmailNotValidError as error:
            raise InvalidDefinition(field, f"{address!r} is not an e-mail address: {error}") from None


def envelope_address(address: str) -> str:
    """An address as a mail server takes it: its domain in ASCII (A-labels, RFC 5891).

    Only a local part that is not ASCII remains so; it requires a server with SMTPUTF8 (RFC 6531).

    :raises EmailNotValidError: it is no address; it contains a line break, a space or another separator
    """
    # The library refuses domains that the internet does not have (localhost, *.local, *.test), and has no
    # option for it but a list of the whole process. Below a domain of the internet they pass the same checks.
    valid = validate_email(
        f"{address}{_PUBLIC_SUFFIX}", check_deliverability=False, globally_deliverable=False
    )
    domain = str(valid.ascii_domain).removesuffix(_PUBLIC_SUFFIX)
    return f"{valid.ascii_local_part or valid.local_part}@{domain}"


_PUBLIC_SUFFIX = ".example.com"
