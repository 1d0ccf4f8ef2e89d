"""Every failure that a caller can tell apart; the docstring of a class is its default message."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from inspect import getdoc
from typing import Literal

Severity = Literal["stops", "delays", "hint"]
"""No run starts; it starts later; it starts, but perhaps not as intended."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a webhook's definition or its environment.

    ``field`` is the name of a field, empty for the whole webhook; ``part`` says which part of it: the
    parameter of a mapping line, the purpose of a secret, the kind of a verification scheme. ``code`` is a
    word for programs. ``file`` and ``line`` are its place in a definition file; ``line`` counts from 1 and
    is 0 where no line is to blame. ``webhook`` is a name.
    """

    message: str
    field: str = ""
    part: str = ""
    code: str = ""
    severity: Severity = "stops"
    file: str = ""
    line: int = 0
    webhook: str = ""

    @property
    def stops(self) -> bool:
        """Whether no run starts because of it."""
        return self.severity == "stops"

    @property
    def place(self) -> str:
        """Field and part as files write them, such as ``mapping.number``."""
        return f"{self.field}.{self.part}" if self.part else self.field

    @property
    def words(self) -> str:
        """Field and part for a sentence, such as ``mapping number``."""
        return f"{self.field.replace('_', ' ')} {self.part}".strip()

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return ": ".join(part for part in (where, self.webhook, self.place, self.message) if part)


class WebhookError(Exception):
    """Something went wrong with an inbound webhook."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or getdoc(type(self)))

    @property
    def message(self) -> str:
        """One sentence for a person."""
        return str(self.args[0])


# --- how the installation is set up ---------------------------------------------------------


class ConfigurationError(WebhookError):
    """A setting is wrong."""


class InvalidSetting(ConfigurationError):
    """A value in the section [inbound_webhooks] cannot be used."""

    def __init__(self, name: str, value: object, expected: str) -> None:
        self.name = name
        super().__init__(f"[inbound_webhooks] {name} = {value!r} is not {expected}.")


class FernetKeyMissing(ConfigurationError):
    """[core] fernet_key is empty, so tokens could not be encrypted: set it and try again."""


class DatabaseUnsupported(ConfigurationError):
    """Inbound webhooks need PostgreSQL or SQLite."""

    def __init__(self, dialect_name: str) -> None:
        self.dialect_name = dialect_name
        super().__init__(f"Inbound webhooks need PostgreSQL or SQLite, not {dialect_name}.")


# --- what a person wrote in a webhook's definition ------------------------------------------


class DefinitionError(WebhookError):
    """The webhook's definition cannot be used."""

    @property
    def problem(self) -> Problem:
        """What is wrong, and with which field."""
        return Problem(self.message)


class InvalidDefinition(DefinitionError):
    """A field of the webhook's definition cannot be used; see :class:`Problem`."""

    def __init__(self, field: str, reason: str, part: str = "") -> None:
        self._problem = Problem(reason, field, part)
        super().__init__(f"{self._problem.words}: {reason}")

    @property
    def problem(self) -> Problem:
        """What is wrong, and with which field."""
        return self._problem


class TemplateRefused(DefinitionError):
    """An expression or template does not compile; line and column count from 1."""

    def __init__(self, reason: str, line: int, column: int) -> None:
        self.reason = reason
        self.line = line
        self.column = column
        super().__init__(f"line {line}, column {column}: {reason}")


class FilesRefused(DefinitionError):
    """A definition file cannot be used."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class WebhookExists(DefinitionError):
    """A webhook of this name exists already."""

    @property
    def problem(self) -> Problem:
        """What is wrong, and with which field."""
        return Problem(self.message, "name")


class WebhookNotFound(WebhookError):
    """There is no such webhook."""


class WebhookChanged(WebhookError):
    """Somebody else changed this webhook meanwhile."""


class NotPermitted(WebhookError):
    """You may not do this."""


class DeliveryNotFound(WebhookError):
    """There is no such delivery."""


class NotReplayable(WebhookError):
    """This delivery cannot be replayed."""


# --- a request that is not accepted ---------------------------------------------------------


class RequestError(WebhookError):
    """The request cannot be accepted."""

    webhook_id = ""
    """Set by the endpoint where the token was right, so that the rejection is recorded."""


class UnknownWebhook(RequestError):
    """Not found."""


class MethodNotAllowed(RequestError):
    """Only GET, HEAD, OPTIONS and POST are answered here."""


class WebhookDisabled(RequestError):
    """This webhook is disabled."""

    def __init__(self, status: int = 403) -> None:
        self.status = status
        super().__init__()


class AddressNotAllowed(RequestError):
    """This address may not call here."""


class VerificationFailed(RequestError):
    """The sender is not verified; the response says no more, the rejection says why.

    ``is_missing``: the request carries nothing that could be checked, or the webhook has no secret for it.
    """

    def __init__(self, message: str | None = None, *, is_missing: bool = False) -> None:
        self.is_missing = is_missing
        super().__init__(message)


class KeyUnknown(RequestError):
    """The public key that the request names is none of those that are known."""

    def __init__(self, key_url: str, message: str | None = None) -> None:
        self.key_url = key_url
        super().__init__(message or f"The public key at {key_url} is not known.")


class HandshakeForged(RequestError):
    """The handshake does not show that the sender knows this webhook."""


class HandshakeMalformed(RequestError):
    """The handshake holds what its vendor never sends."""


class MediaTypeUnsupported(RequestError):
    """The Content-Type is none that this webhook takes."""


class BodyTooLarge(RequestError):
    """The body is larger than this server accepts."""

    def __init__(self, limit_bytes: int, *, inflated: bool = False) -> None:
        self.limit_bytes = limit_bytes
        what = "inflated body" if inflated else "body"
        super().__init__(f"The {what} is larger than {limit_bytes} bytes.")


class HostInvalid(RequestError):
    """The Host header is not the name of a host."""


class BodyIncomplete(RequestError):
    """Fewer bytes arrived than Content-Length says."""


class BodyTimeout(RequestError):
    """The body did not arrive in time."""


class EncodingUnsupported(RequestError):
    """Content-Encoding has to be identity, gzip or deflate."""


class ContentRefused(RequestError):
    """The sender is proved, but what was sent cannot be used; the delivery is kept for a replay."""


class BodyMalformed(ContentRefused):
    """The body is not what its type says."""


class ParameterRefused(ContentRefused):
    """A value breaks the DAG's params."""

    def __init__(self, parameter: str, reason: str) -> None:
        self.parameter = parameter
        super().__init__(f"parameter {parameter}: {reason}")


class ExpressionFailed(ContentRefused):
    """An expression could not be evaluated over this request."""


class Unavailable(RequestError):
    """The request cannot be taken right now; the sender should try again."""

    retry_after_seconds = 10


class DatabaseUnavailable(Unavailable):
    """The database cannot be reached."""


class TokenUnreadable(Unavailable):
    """The webhook's token cannot be decrypted with [core] fernet_key."""


class DefinitionUnusable(Unavailable):
    """The webhook's definition does not compile in this version."""


class KeyPending(Unavailable):
    """The sender's public key is on its way."""

    retry_after_seconds = 15

    def __init__(self, key_url: str) -> None:
        self.key_url = key_url
        super().__init__(f"The public key at {key_url} is being fetched.")


class LimitReached(Unavailable):
    """More came than the settings allow; it is worth a rejection that names the limit."""


class RateLimited(LimitReached):
    """Too many requests in a short time."""

    retry_after_seconds = 1

    def __init__(self, per_second: int | None = None) -> None:
        super().__init__(None if per_second is None else f"More than {per_second} requests a second came.")


class BacklogFull(LimitReached):
    """Too many deliveries wait for their run."""

    retry_after_seconds = 30

    def __init__(self, of_webhook: int | None = None) -> None:
        named = f"{of_webhook} deliveries of this webhook wait for their run, which is its limit."
        super().__init__(None if of_webhook is None else named)


class InternalError(Unavailable):
    """Something went wrong here; the sender should try again."""


class TooBusy(Unavailable):
    """Too many requests are being worked on."""

    retry_after_seconds = 2


# --- a delivery whose run cannot be made ----------------------------------------------------


class KeyFetchFailed(WebhookError):
    """A vendor's public key could not be fetched."""


class DispatchError(WebhookError):
    """The DAG run could not be made."""

    permanent = False


class DagUnavailable(DispatchError):
    """The DAG is not there yet, or not any more."""


class DagBroken(DispatchError):
    """The DAG's file has import errors."""


class RunRefused(DispatchError):
    """The DAG does not take this run."""

    permanent = True


# --- a mail that does not go out ------------------------------------------------------------


class MailError(WebhookError):
    """The mail could not be sent."""

    permanent = False


class MailRefused(MailError):
    """The mail server refuses this mail for good."""

    permanent = True
