"""Validates the addresses that notifications go to."""

from __future__ import annotations

from collections.abc import Sequence

from email_validator import EmailNotValidError, validate_email

from inbound_webhooks.errors import InvalidDefinition
from inbound_webhooks.storage.tables import EMAIL_ADDRESS_CHARS

MAX_RECIPIENTS = 50


def check_recipients(field: str, addresses: Sequence[str]) -> None:
    """Check that mail can be sent to each address.

    Domains need not be public: an organisation's internal ones are fine.

    :raises InvalidDefinition: names the address and the reason
    """
    if len(addresses) > MAX_RECIPIENTS:
        raise InvalidDefinition(field, f"there are more than {MAX_RECIPIENTS} addresses")
    if len(set(addresses)) < len(addresses):
        raise InvalidDefinition(field, "the same address is listed twice")
    for address in addresses:
        _check_address(field, address)


def _check_address(field: str, address: str) -> None:
    if not address.isascii() or len(address) > EMAIL_ADDRESS_CHARS:
        raise InvalidDefinition(field, f"{address!r} is too long, or not ASCII")
    try:
        validate_email(address, check_deliverability=False, globally_deliverable=False, allow_smtputf8=False)
    except EmailNotValidError as error:
        raise InvalidDefinition(field, f"{address!r} is not an e-mail address: {error}") from None
