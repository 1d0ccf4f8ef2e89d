"""Intended differences between the recording and today's product: data, and how it is applied.

The recording is never edited.
A change that is meant to be visible is declared here, and then it is part of what is expected.
For example::

    COLUMNS = {"delivery": {"answer_status": "response_status"}}
    VALUES = {("rejection", "reason"): {"not_proved": "verification_failed"}}
    WEBHOOK_FIELDS = {"proofs": "verification", "proof": "verification"}
    PURPOSES = {"signing": "verification"}
    JSON_KEYS = {"not_proved": "verification_failed"}
    SENTENCES = [("The signature is wrong.", "The signature does not match.")]
    EXCEPTIONS = [
        Exception_(scenario="meta: .*", path="responses.0.0.status", now=403, why="the preset says so"),
    ]
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

COLUMNS: dict[str, dict[str, str]] = {
    "delivery": {"answer_status": "response_status"},
    "webhook": {"proofs": "verification"},
}
"""Table, as the recording calls it -> recorded name of a column -> its name now; rows are compared under
the recorded names."""

ADDED_COLUMNS: dict[str, set[str]] = {
    "webhook": {
        *("description", "owner", "team", "listening_until"),
        *("response_headers", "wait_seconds", "prefer_wait", "result_task", "result_status"),
        *("batch_by", "batch_size", "batch_seconds", "latest_by", "quiet_seconds", "at_most_seconds"),
        *("one_at_a_time", "when_busy", "cancel_on", "asset", "partition_key", "waiting_dags", "awaited"),
        *("hold", "held_by_all", "release_per_minute", "release_window", "start_window"),
        *("logical_date", "run_after", "note", "each", "source", "route_count", "routes", "position"),
    },
    "delivery": {
        *("checked_dag_hash", "custom_response", "accepted_at", "wait_id"),
        *("group_key", "batch_id", "superseded_by", "cancelled_by"),
        *("asset", "partition_key", "asset_event_id", "to_match", "logical_date", "run_after", "note"),
        *("parent_id", "child_index", "item_index", "routes"),
    },
    "rejection": {"webhook_name", "dag_id"},
}
"""Table -> columns that came later; they are not compared."""

VALUES: dict[tuple[str, str], dict[Any, Any]] = {}
"""Table and recorded name of a column -> recorded value -> value now."""

WEBHOOK_FIELDS: dict[str, str] = {"proofs": "verification"}
"""Recorded name of a field of a definition -> its name now, also inside of nested objects."""

PURPOSES: dict[str, str] = {}
"""Recorded purpose of a secret -> its name now."""

JSON_KEYS: dict[str, str] = {}
"""Recorded key of a JSON object that a response holds -> its name now."""

SENTENCES: list[tuple[str, str]] = [
    # Body and conf
    ("The body is not JSON as Content-Type says: ", "Content-Type is JSON, but the body is not: "),
    (" text: byte ", " text: invalid byte at position "),
    (" breaks it.", "."),
    ("expected ['null', 'integer'], not ", "expected null or integer, not "),
    ("the value breaks enum: ", "must be one of "),
    ("the value breaks maxLength: 3", "must have at most 3 characters"),
    ("the value breaks maximum: ", "must be at most "),
    ("The compressed body is cut short.", "The compressed body is truncated."),
    ("it is none that JSON has", "it has a type that JSON does not have"),
    (
        "there is no value for it in the request, and it has no default",
        "the request has no value for it, and it has no default",
    ),
    ("it holds a NUL character", "it contains a NUL character"),
    ("it holds half of a surrogate pair", "it contains a lone surrogate"),
    (
        "The expressions compute more over this request than is allowed.",
        "The expressions exceed the computing budget of a request.",
    ),
    ("this is no time that it can read.", "this is not a time in a known format."),
    # Errors
    ("POST are answered here.", "POST are supported."),
    ("This address may not call here.", "This address is not allowed to call the webhook."),
    ("The inflated body is", "The decompressed body is"),
    ("The Host header is not the name of a host.", "The Host header is not a valid host name."),
    ("Fewer bytes arrived than Content-Length says.", "The body is shorter than Content-Length says."),
    ("Content-Encoding has to be identity", "Content-Encoding must be identity"),
    (" requests a second came.", " requests per second arrived."),
    ("Too many deliveries wait for their run.", "Too many deliveries are waiting for their runs."),
    (
        " deliveries of this webhook wait for their run, which is its limit.",
        " deliveries of this webhook are waiting for their runs; that is its limit.",
    ),
    ("Something went wrong here; the sender", "An internal error occurred; the sender"),
    ("The webhook's definition cannot be used: ", "The webhook's definition is invalid: "),
    (" is none of ", " is not one of "),
    # Verification
    (" is not one of the keys.", " does not match any of the webhook's keys."),
    (
        "The header Authorization is not Basic with the right user and password.",
        "The header Authorization has no valid Basic user and password.",
    ),
    (" fits the body with any of the secrets.", " matches the body with any of the secrets."),
    (" does not fit the body with any of the ", " does not match the body with any of the "),
    (" does not fit URL and form with any of the ", " does not match URL and form with any of the "),
    (" does not fit with any of the ", " was not made with any of the "),
    ("The token has no time when it ends, or has ended.", "The token has no expiry, or has expired."),
    (" is another one.", " is not the expected one."),
    (
        "The body's SHA-256 is not the one in the token.",
        "The body's SHA-256 differs from the one in the token.",
    ),
    ("The timestamp has not ", "The timestamp does not have "),
    (
        "SigningCertURL is not the address of a certificate of Amazon SNS.",
        "SigningCertURL is not the URL of an Amazon SNS certificate.",
    ),
    ("TopicArn is none of the topics of this webhook.", "TopicArn is not one of this webhook's topics."),
    ("Type is none that Amazon SNS sends.", "Type is not one that Amazon SNS sends."),
    ("Timestamp is not a time with its zone.", "Timestamp has no time zone, or an impossible year."),
    ("The webhook has no valid secret for signing.", "The webhook is waiting for its signing secret."),
    # Handshakes
    (
        "hub.verify_token is not the one of this webhook.",
        "hub.verify_token is not this webhook's verify token.",
    ),
    (
        "validationToken is there in several spellings.",
        "The query has validationToken in several spellings.",
    ),
    (
        "SubscribeURL is not an address of Amazon SNS that confirms a subscription.",
        "SubscribeURL is not an Amazon SNS URL that confirms a subscription.",
    ),
    (" without ce- headers is no CloudEvent.", " without ce- headers is not a CloudEvent."),
    # Dispatch
    ("The run could not be made (", "The run could not be created ("),
    # Definitions: an error names the field as the model does.
    ("definition is invalid: mapping of ", "definition is invalid: mapping "),
    ("definition is invalid: proof: ", "definition is invalid: verification: "),
]
"""Recorded text -> text now, wherever it stands: responses, errors, reasons, notes."""


@dataclass(frozen=True, kw_only=True)
class Exception_:
    """A single value that differs in some scenarios; ``scenario`` and ``path`` are regular expressions."""

    scenario: str
    path: str
    now: Any
    why: str

    def matches(self, scenario: str, path: str) -> bool:
        return bool(re.fullmatch(self.scenario, scenario) and re.fullmatch(self.path, path))


WAITING = ".*: without its secrets"
"""Scenarios whose second request waits for a secret: its status was 401, without Retry-After."""

WAITS = "This webhook is waiting for its secret."

UNFINISHED_FILTER = (
    "The webhook's definition is invalid: filter: line 1, column 8: unexpected '}', expected ')'"
)

EXCEPTIONS: list[Exception_] = [
    Exception_(
        scenario="address: not allowed, HEAD",
        path=r"responses\.0\.0\.header content-length",
        now="83",
        why="the sentence of the body that HEAD leaves out is longer",
    ),
    *(
        Exception_(scenario=WAITING, path=path, now=now, why="a sender retries until the secret is entered")
        for path, now in {
            r"(responses\.1\.0|rejections\.1)\.status": 503,
            r"responses\.1\.0\.body": json.dumps({"status": "rejected", "error": WAITS}),
        }.items()
    ),
    Exception_(
        scenario="a definition that does not compile: filter, (POST|GET)",
        path=r"responses\.0\.0\.body",
        now=json.dumps({"status": "rejected", "error": UNFINISHED_FILTER}),
        why="the end of an expression is counted behind the space that follows it",
    ),
    Exception_(
        scenario="aws-sns: unsigned SubscriptionConfirmation: as sent",
        path=r"rejections\.\d\.reason",
        now="The body holds no Signature.",
        why="the signature is looked for before the certificate that it needs",
    ),
]
"""What no rule above can say; ``now=ABSENT`` for what is not there any more."""

CHALLENGES: dict[str, str] = {
    r"credential: basic.*": 'Basic realm="webhook", charset="UTF-8"',
    r"(credential: bearer|cloudevents: .*Bearer token|google-pubsub: ).*": 'Bearer realm="webhook"',
}
"""Regular expression of scenarios -> WWW-Authenticate of their responses with 401, which had none."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Scenarios whose last request has another outcome, and with it other rows: its status now.

    Nothing else of them is compared; the tests of hostile requests say what is stored.
    """

    scenario: str
    status: int
    why: str


OUTCOMES: list[Outcome] = [
    Outcome(
        scenario=r"hostile: text: charset '"
        r"(no charset|x-unknown|idna|base64|zlib|unicode_escape|utf-7|\.\./.*|x{20})'",
        status=400,
        why="an unknown charset is not taken for UTF-8",
    ),
    Outcome(
        scenario=r"hostile: (a form|query): (invalid UTF-8|a surrogate)",
        status=400,
        why="invalid bytes are not replaced",
    ),
    Outcome(
        scenario="hostile: a form: letters beyond ASCII", status=202, why="a form may hold bytes as they are"
    ),
    Outcome(
        scenario=r"hostile: JSON: UTF-(16|32).*|json suite: i_string_(utf16|UTF-16)[LB]E.*",
        status=202,
        why="JSON may be UTF-16 or UTF-32 (RFC 4627, section 3)",
    ),
    Outcome(
        scenario=r"expression 67: \{\{ 1 if body\.missing \}\}",
        status=202,
        why="an if without else was 503; now the parameter is missing",
    ),
]


def outcome_of(scenario: str) -> Outcome | None:
    """The outcome that a scenario has now, where it is declared."""
    return next((one for one in OUTCOMES if re.fullmatch(one.scenario, scenario)), None)


ABSENT = "(absent)"
"""Stands for a value that is not there."""


REFUSED_DEFINITIONS: dict[str, str] = {
    r"expression 40: .*": "this is not a time in a known format",
    r"expression 49: .*": "the divisor is 0",
    r"filter: body\.n / 0 of .*": "the divisor is 0",
}
"""Scenarios, as regular expressions -> why their webhook cannot be saved now; they are not played."""


def refusal(scenario: str) -> str | None:
    """Why a scenario's webhook cannot be saved now; None where it can."""
    return next((why for name, why in REFUSED_DEFINITIONS.items() if re.fullmatch(name, scenario)), None)


def renamed_fields(value: Any) -> Any:
    """A webhook's definition with the field names of now."""
    if isinstance(value, Mapping):
        return {WEBHOOK_FIELDS.get(name, name): renamed_fields(it) for name, it in value.items()}
    if isinstance(value, (list, tuple)):
        return [renamed_fields(it) for it in value]
    return value


def recorded_columns(table: str, columns: Iterable[str]) -> dict[str, str]:
    """Name of a column now -> its recorded name; without those that came later."""
    old_names = {new: old for old, new in COLUMNS.get(table, {}).items()}
    not_renamed = {old: f"{old} (its declared rename has not happened)" for old in COLUMNS.get(table, {})}
    added = ADDED_COLUMNS.get(table, set())
    return {name: (not_renamed | old_names).get(name, name) for name in columns if name not in added}


def expected(scenario: str, recorded: Mapping[str, Any]) -> dict[str, Any]:
    """Recorded values by path, as they should be now."""
    made = {path: _of_now(path, value) for path, value in recorded.items()}
    for path in made:
        for exception in EXCEPTIONS:
            if exception.matches(scenario, path):
                made[path] = exception.now
    if re.fullmatch(WAITING, scenario):
        made["responses.1.0.header retry-after"] = "60"
    for pattern, challenge in CHALLENGES.items():
        if re.fullmatch(pattern, scenario):
            answered = [path.removesuffix("status") for path, value in made.items() if _is_401(path, value)]
            made |= {f"{start}header www-authenticate": challenge for start in answered}
    return {path: value for path, value in made.items() if value != ABSENT}


def _is_401(path: str, value: Any) -> bool:
    return path.startswith("responses.") and path.endswith(".status") and value == 401


TABLES_OF_PARTS = {
    "deliveries": "delivery",
    "dispatched": "delivery",
    "rejections": "rejection",
    "webhook": "webhook",
}


def _of_now(path: str, value: Any) -> Any:
    part = path.partition(".")[0]
    table = TABLES_OF_PARTS.get(part)
    if table is not None:
        value = VALUES.get((table, path.rpartition(".")[2]), {}).get(value, value)
    if isinstance(value, str):
        value = reworded(value)
        if part == "responses" and path.endswith(".body"):
            for old, new in JSON_KEYS.items():
                value = value.replace(f'"{old}":', f'"{new}":')
    return value


def reworded(text: str) -> str:
    """A text with the sentences of now."""
    for old, new in SENTENCES:
        text = text.replace(old, new)
    return text
