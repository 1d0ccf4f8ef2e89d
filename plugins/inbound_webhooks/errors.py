"""The package's errors: a class's docstring is its default message, its attributes are the facts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from inspect import getdoc
from typing import Any, Literal

Severity = Literal["stops", "delays", "hint"]
"""No run starts; runs start later; runs start, but perhaps not as intended."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a webhook's definition or its environment.

    ``field`` is the name of a field, or empty for the whole webhook; ``part`` is the parameter of a mapping
    entry, the purpose of a secret, or the kind of a verification scheme. ``code`` is a stable identifier for
    programs. ``file`` and ``line`` locate the problem in a definition file; lines start at 1, and 0 means the
    whole file. ``webhook`` is a name.
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
        """Whether it keeps runs from starting."""
        return self.severity == "stops"

    @property
    def place(self) -> str:
        """Field and part as definition files spell them, such as ``mapping.number``."""
        return f"{self.field}.{self.part}" if self.part else self.field

    @property
    def words(self) -> str:
        """Field and part as words of a message, such as ``mapping number``."""
        return f"{self.field.replace('_', ' ')} {self.part}".strip()

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return ": ".join(part for part in (where, self.webhook, self.place, self.message) if part)


class WebhookError(Exception):
    """An operation on an inbound webhook failed."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or getdoc(type(self)))

    @property
    def message(self) -> str:
        """The message for users."""
        return str(self.args[0])


# --- how the installation is set up ---------------------------------------------------------


class ConfigurationError(WebhookError):
    """The configuration is invalid."""


class InvalidSetting(ConfigurationError):
    """An option in the section [inbound_webhooks] is invalid."""

    def __init__(self, name: str, value: object, expected: str) -> None:
        self.name = name
        super().__init__(f"[inbound_webhooks] {name} = {value!r} is not {expected}.")


class FernetKeyMissing(ConfigurationError):
    """[core] fernet_key is empty, so tokens cannot be encrypted. Set it and try again."""


class FernetKeyMalformed(ConfigurationError):
    """[core] fernet_key is malformed: each of its keys must be 32 bytes in URL-safe Base64. Correct it."""


class DatabaseUnsupported(ConfigurationError):
    """Inbound webhooks need PostgreSQL or SQLite."""

    def __init__(self, dialect_name: str) -> None:
        self.dialect_name = dialect_name
        super().__init__(
            f"Inbound webhooks need PostgreSQL or SQLite, not {dialect_name}. "
            "Change [database] sql_alchemy_conn, or uninstall airflow-inbound-webhooks."
        )


class TablesUnknown(ConfigurationError):
    """The tables of inbound webhooks match no version of the plugin."""


# --- an invalid definition, or a change that is refused -------------------------------------


class DefinitionError(WebhookError):
    """The webhook's definition is invalid."""

    @property
    def problem(self) -> Problem:
        """The problem, with the field that it concerns."""
        return Problem(self.message)


class InvalidDefinition(DefinitionError):
    """A field of the webhook's definition is invalid; see :class:`Problem`."""

    def __init__(self, field: str, reason: str, part: str = "") -> None:
        self._problem = Problem(reason, field, part)
        super().__init__(f"{self._problem.words}: {reason}")

    @property
    def problem(self) -> Problem:
        """The problem, with the field that it concerns."""
        return self._problem


class TemplateRefused(DefinitionError):
    """An expression or template does not compile; lines and columns start at 1."""

    def __init__(self, reason: str, line: int, column: int) -> None:
        self.reason = reason
        self.line = line
        self.column = column
        super().__init__(f"line {line}, column {column}: {reason}")


class FilesRefused(DefinitionError):
    """A definition file is invalid."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class WebhookExists(DefinitionError):
    """A webhook with this name already exists."""

    @property
    def problem(self) -> Problem:
        """The problem, with the field that it concerns."""
        return Problem(self.message, "name")


class RoutesExist(DefinitionError):
    """Other webhooks get the events of this one."""

    def __init__(self, name: str, routes: Sequence[str] = ()) -> None:
        """:param routes: their names; none for a user, who may not see all of them"""
        which = (
            f"These webhooks get the events of {name!r}: {', '.join(routes)}"
            if routes
            else f"Webhooks get the events of {name!r}, and its page lists those that you may see"
        )
        super().__init__(f"{which}. Delete them first, or give them another source.")

    @property
    def problem(self) -> Problem:
        """The problem, with the field that it concerns."""
        return Problem(self.message, "routes")


class WebhookNotFound(WebhookError):
    """There is no such webhook."""


class WebhookChanged(WebhookError):
    """The webhook was changed in the meantime. Reload it and try again."""


class NotPermitted(WebhookError):
    """You do not have permission to do this."""


class DeliveryNotFound(WebhookError):
    """There is no such delivery."""


class WaitNotFound(WebhookError):
    """There is no such wait, or you may not see its DAG."""


class WaitNotResumable(WebhookError):
    """The task is not waiting, or its call has come already."""


class NotReplayable(WebhookError):
    """This delivery cannot be replayed."""


class TooManyListeners(WebhookError):
    """Other webhooks are listening for requests. Try again in two minutes."""

    retry_after_seconds = 120


class SampleNotSigned(WebhookError):
    """This request cannot be signed here."""


class TooManyTrials(WebhookError):
    """Other previews, back-tests or searches are running. Try again when they have ended."""

    retry_after_seconds = 5


class SearchTooLong(WebhookError):
    """The search took too long. Choose a shorter period, a webhook or a Dag."""


class ReplayJobNotFound(WebhookError):
    """There is no such replay job, or you may not see it."""


class ReplayJobRefused(WebhookError):
    """The replay job cannot be started."""


class AlreadyClaimed(WebhookError):
    """Another process has replayed this delivery, or the job has ended."""


# --- a request that is not accepted ---------------------------------------------------------


class RequestError(WebhookError):
    """The request cannot be accepted."""

    webhook_id = ""
    """Set by the endpoint if the token was right; only then is the rejection recorded."""

    challenges: tuple[str, ...] = ()
    """Set by the judge: the values of WWW-Authenticate, should the status be 401."""


class UnknownWebhook(RequestError):
    """Not found."""


class MethodNotAllowed(RequestError):
    """Only GET, HEAD, OPTIONS and POST are supported."""

    def __init__(self, allowed: str = "GET, HEAD, OPTIONS, POST") -> None:
        self.allowed = allowed
        others, _, last = allowed.rpartition(", ")
        super().__init__(
            f"Only {others} and {last} are supported." if others else f"Only {last} is supported."
        )


class WaitOver(RequestError):
    """The task no longer waits for this call."""


class WebhookDisabled(RequestError):
    """This webhook is disabled."""

    def __init__(self, status: int = 403) -> None:
        self.status = status
        super().__init__()


class AddressNotAllowed(RequestError):
    """This address is not allowed to call the webhook."""


class VerificationFailed(RequestError):
    """The sender could not be verified."""

    def __init__(self, message: str | None = None, *, is_missing: bool = False) -> None:
        super().__init__(message)
        self.is_missing = is_missing
        """Whether the request has nothing to verify, or the webhook no secret to verify it with."""


class KeyUnknown(RequestError):
    """The request was signed with an unknown public key."""

    def __init__(self, key_url: str, message: str | None = None) -> None:
        self.key_url = key_url
        super().__init__(message or f"The public key at {key_url} is unknown.")


class HandshakeForged(RequestError):
    """The handshake does not prove that its sender is the webhook's."""


class HandshakeMalformed(RequestError):
    """The handshake request is malformed."""


class MediaTypeUnsupported(RequestError):
    """The webhook does not support this Content-Type."""


class BodyTooLarge(RequestError):
    """The body exceeds the size limit."""

    def __init__(self, limit_bytes: int, *, inflated: bool = False) -> None:
        self.limit_bytes = limit_bytes
        what = "decompressed body" if inflated else "body"
        super().__init__(f"The {what} is larger than {limit_bytes} bytes.")


class HostInvalid(RequestError):
    """The Host header is not a valid host name."""


class BodyIncomplete(RequestError):
    """The body is shorter than Content-Length says."""


class BodyTimeout(RequestError):
    """The body did not arrive in time."""


class EncodingUnsupported(RequestError):
    """Content-Encoding must be identity, gzip or deflate."""


class ContentRefused(RequestError):
    """The sender is verified, but the content cannot be used; the delivery is kept for a replay."""


class BodyMalformed(ContentRefused):
    """The body does not match its Content-Type."""


class QueryMalformed(ContentRefused):
    """The query is not percent-encoded UTF-8."""


class ParameterRefused(ContentRefused):
    """A value violates the DAG's params."""

    # All mapped parameters, where the DAG refuses them together: for a preview.
    computed: Mapping[str, Any] | None = None

    def __init__(self, parameter: str, reason: str) -> None:
        self.parameter = parameter
        super().__init__(f"parameter {parameter}: {reason}")


class ScheduleRefused(ContentRefused):
    """The request names no usable time for its run."""

    def __init__(self, name: str, reason: str) -> None:
        self.name = name
        super().__init__(f"{name}: {reason}")


class PartitionKeyRefused(ContentRefused):
    """The partition key cannot be used."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"partition key: {reason}")


class ExpressionFailed(ContentRefused):
    """An expression could not be evaluated for this request."""


class ListTooLong(ContentRefused):
    """The list has too many items."""

    def __init__(self, items: int, most: int) -> None:
        self.items = items
        super().__init__(f"The list has {items:,} items; a request may have {most:,}.")


class ConfsTooLarge(ContentRefused):
    """The confs of a request's events are too large."""

    def __init__(self, most_chars: int) -> None:
        super().__init__(f"The confs of the request's events are longer than {most_chars:,} characters.")


class NoneAccepted(ContentRefused):
    """No event of the request can be used."""


class ResultTooLarge(RequestError):
    """The result of the call is too large for a task."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        super().__init__(f"The result is larger than {limit_bytes} bytes. Let result= select a part of it.")


class ResultRefused(RequestError):
    """The result of the call cannot be handed to a task."""

    def __init__(self, key: str) -> None:
        self.key = key
        super().__init__(f"An object of the result has the key {key}, which Airflow reserves.")


class Unavailable(RequestError):
    """The request cannot be accepted right now; the sender should try again."""

    retry_after_seconds = 10


class DatabaseUnavailable(Unavailable):
    """The database cannot be reached."""

    def __init__(self, message: str | None = None, *, code: str = "") -> None:
        super().__init__(message)
        self.code = code
        """Identifies a cause that an operator has to remove, such as ``tables-missing``; empty if none is
        known. Senders never learn the cause."""


class TokenUnreadable(Unavailable):
    """The webhook's token cannot be decrypted with [core] fernet_key."""


class DefinitionUnusable(Unavailable):
    """The webhook's definition does not compile in this version."""


class ClientAddressReplaced(Unavailable):
    """The server took the address from X-Forwarded-For, so allowed addresses cannot be checked."""


class KeyPending(Unavailable):
    """The sender's public key is being fetched."""

    retry_after_seconds = 15

    def __init__(self, key_url: str) -> None:
        self.key_url = key_url
        super().__init__(f"The public key at {key_url} is being fetched.")


class SecretMissing(Unavailable):
    """This webhook is waiting for its secret."""

    retry_after_seconds = 60

    def __init__(self, purpose: str = "") -> None:
        self.purpose = purpose
        super().__init__(f"The webhook is waiting for its {purpose} secret." if purpose else None)


class LimitReached(Unavailable):
    """A limit is reached; the rejection names it."""


class RateLimited(LimitReached):
    """Too many requests in a short time."""

    retry_after_seconds = 1

    def __init__(self, per_second: int | None = None) -> None:
        super().__init__(
            None if per_second is None else f"More than {per_second} requests per second arrived."
        )


class BacklogFull(LimitReached):
    """Too many deliveries are waiting for their runs."""

    retry_after_seconds = 30

    def __init__(self, of_webhook: int | None = None) -> None:
        named = f"{of_webhook} deliveries of this webhook are waiting for their runs; that is its limit."
        super().__init__(None if of_webhook is None else named)


class TooManyHeld(BacklogFull):
    """Too many deliveries of this webhook are held."""

    retry_after_seconds = 60

    def __init__(self, limit: int) -> None:
        LimitReached.__init__(
            self, f"{limit} deliveries of this webhook are held while it is on hold; that is its limit."
        )


class GroupsFull(LimitReached):
    """Too many deliveries are waiting for others of their group."""

    retry_after_seconds = 30

    def __init__(self, limit: int | None = None) -> None:
        self.limit = limit
        named = f"{limit} deliveries of this webhook wait for others of their group; that is its limit."
        super().__init__(None if limit is None else named)


class RefusedTooOften(LimitReached):
    """Too many requests of this webhook were refused within a minute."""

    retry_after_seconds = 60


class InternalError(Unavailable):
    """An internal error occurred; the sender should try again."""


class TooBusy(Unavailable):
    """Too many requests are in progress."""

    retry_after_seconds = 2


# --- a delivery whose run cannot be created -------------------------------------------------


class KeyFetchFailed(WebhookError):
    """A vendor's public key could not be fetched."""


class DispatchError(WebhookError):
    """The DAG run could not be created."""

    permanent = False


class DagUnavailable(DispatchError):
    """The DAG does not exist yet, or no longer exists."""


class DagChanged(DagUnavailable):
    """The DAG is being changed."""

    def __init__(self, dag_id: str) -> None:
        super().__init__(f"DAG {dag_id} got a new version at the same time.")


class AssetUnavailable(DispatchError):
    """The asset does not exist yet, or no longer exists."""

    def __init__(self, asset: str) -> None:
        super().__init__(f"No DAG file names the asset {asset}.")


class DagBroken(DispatchError):
    """The DAG's file has import errors."""


class TeamMismatch(DispatchError):
    """The DAG does not belong to the webhook's team."""

    def __init__(self, dag_id: str, webhook_team: str | None) -> None:
        # The DAG's team is not named: the webhook's own users get to read this message.
        of_webhook = "no team" if webhook_team is None else f"team {webhook_team}"
        super().__init__(
            f"DAG {dag_id} belongs to another team than the webhook, which was made for {of_webhook}. "
            "A user who may trigger the DAG has to enable the webhook again."
        )


class RunRefused(DispatchError):
    """The DAG does not accept this run."""

    permanent = True


class LogicalDateTaken(RunRefused):
    """The DAG has a run with this logical date already."""

    def __init__(self, dag_id: str, logical_date: str) -> None:
        super().__init__(
            f"DAG {dag_id} has a run with the logical date {logical_date} already, and Airflow allows one. "
            "Clear that run instead, or change the webhook's logical date and replay the delivery."
        )


# --- a mail that cannot be sent -------------------------------------------------------------


class MailError(WebhookError):
    """The mail could not be sent."""

    permanent = False


class MailRefused(MailError):
    """The mail server rejected this mail permanently."""

    permanent = True
