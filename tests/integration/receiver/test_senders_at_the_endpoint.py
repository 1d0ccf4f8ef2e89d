"""The contract of every sender at the endpoint: what each vendor signed, and what it would never send."""

from __future__ import annotations

import json

import pytest

from inbound_webhooks.event.handshakes.registry import HANDSHAKES
from inbound_webhooks.event.verification.registry import read_scheme
from tests.infrastructure.webhooks_builder import rows, runs
from tests.integration.receiver.signed_posts import OF_OURS, YEARS_HOURS, Sender
from tests.unit.presets.signed_cases import OTHER_SECRETS, Case, every
from tests.unit.presets.test_senders import HOSTILE, headers_read

UNAUTHORIZED = {"status": "rejected", "error": "Unauthorized."}


def signs_its_url(case: Case) -> bool:
    return any(
        scheme["kind"] == "twilio" or "{url}" in scheme.get("signed", "") for scheme in case.verification
    )


def reaches_a_webhook(case: Case) -> bool:
    """Whether the vendor signed no URL, or one that a webhook of ours can have."""
    return not signs_its_url(case) or OF_OURS.fullmatch(case.request.url) is not None


ACCEPTED = [case for case in every("accepted") if case.request.method == "POST" and reaches_a_webhook(case)]
PROVED = [case for case in ACCEPTED if case.verification]
ONE_OF_EACH = list({case.preset.name: case for case in PROVED}.values())


def named(cases: list[Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=str)


def first_of_each(cases: list[Case]) -> pytest.MarkDecorator:
    """All cases, of which `make test` has one of each preset: verification itself is tested case by case."""
    first = {case.preset.name: case for case in reversed(cases)}
    marked = [
        pytest.param(case, marks=() if case is first[case.preset.name] else pytest.mark.long)
        for case in cases
    ]
    return pytest.mark.parametrize("case", marked, ids=str)


def expected_status(case: Case) -> int:
    if case.preset.response_template is not None:
        return case.preset.response_status or 200
    return case.preset.response_status or 202


def text_of_rejections(sender: Sender) -> str:
    """Everything that a rejection says, in one text."""
    return " ".join(str(value) for rejection in sender.rejections() for value in rejection)


def values_sent(case: Case) -> list[str]:
    """Secrets, signatures and the body: nothing of it may stand in a rejection."""
    signatures = [value for name, value in case.request.headers if name.lower() in headers_read(case)]
    held = [secret for secrets in case.secrets.values() for secret in secrets]
    body = case.request.body.decode("latin-1")
    return [value for value in (*held, *signatures, body) if len(value) >= 8]  # shorter: "secret", "{}"


def without_keys(case) -> bytes:
    """The body as it is kept: as it came, but for the key that some senders put into it."""
    body = case.request.body
    if any(scheme["kind"] == "body-key" for scheme in case.preset.verification):
        for secret in [secret for secrets in case.secrets.values() for secret in secrets]:
            body = body.replace(b'"clientState":"%s"' % secret.encode(), b'"clientState":"***"')
        assert body != case.request.body
    return body


def test_every_preset_is_shown_at_the_endpoint():
    from inbound_webhooks.presets import PRESETS

    assert {case.preset.name for case in ACCEPTED} == set(PRESETS)


@named(ACCEPTED)
def test_what_the_vendor_signed_is_accepted_with_the_presets_status(sqlite_database, case):
    sender = Sender.of(case)
    reply = sender.send()
    (stored,) = rows("delivery")
    assert stored.body == without_keys(case)
    assert (reply.status, stored.state) == (expected_status(case), "accepted")
    assert sender.rejections() == []


@first_of_each(PROVED)
def test_the_secret_that_fitted_has_its_time_of_last_use(sqlite_database, case):
    sender = Sender.of(case)
    sender.send()
    used = [secret.last_used_at for secret in rows("secret") if secret.purpose == "signing"]
    assert case.now in used
    assert [token.last_used_at for token in rows("token")] == [case.now]


@first_of_each([case for case in PROVED if case.preset.signs_body])
def test_a_changed_body_is_401(sqlite_database, case):
    sender = Sender.of(case)
    for body in (b"x" + case.request.body, case.request.body[:-1], b"{}"):
        reply = sender.send(body=body)
        assert (reply.status, reply.json) == (401, UNAUTHORIZED)
    assert rows("delivery") == []
    assert [value for value in values_sent(case) if value in text_of_rejections(sender)] == []


@first_of_each(PROVED)
def test_another_secret_is_401_and_the_rejection_has_no_secret(sqlite_database, case):
    sender = Sender.of(case, {"signing": OTHER_SECRETS[case.kind]})
    reply = sender.send()
    assert (reply.status, reply.json) == (401, UNAUTHORIZED)
    assert (len(sender.rejections()), rows("delivery")) == (1, [])
    assert [
        value
        for value in (*values_sent(case), OTHER_SECRETS[case.kind])
        if value in text_of_rejections(sender)
    ] == []


@first_of_each([case for case in PROVED if headers_read(case)])
def test_a_missing_header_is_401_and_the_rejection_names_it(sqlite_database, case):
    sender = Sender.of(case)
    for header in headers_read(case):
        reply = sender.send(without=header)
        assert (reply.status, reply.json) == (401, UNAUTHORIZED)
    expected = {f"the header {header} is missing." for header in headers_read(case)}
    assert {rejection.reason.lower() for rejection in sender.rejections()} == expected
    assert rows("delivery") == []


def test_the_rejection_names_the_header_as_the_vendor_writes_it(sqlite_database):
    sender = Sender.of(next(case for case in PROVED if case.preset.name == "github"))
    sender.send(without="x-hub-signature-256")
    (noted,) = sender.rejections()
    assert noted.reason == "The header X-Hub-Signature-256 is missing."
    assert (noted.status, noted.method, noted.source_ip) == (401, "POST", "192.0.2.7")


@named(ONE_OF_EACH)
def test_both_secrets_are_right_while_one_is_rotated(sqlite_database, case):
    new = Sender.of(case, {"signing": OTHER_SECRETS[case.kind]})
    assert new.send().status == 401
    new.rotate(case.secrets["signing"][0], grace_hours=1)
    assert new.send().status != 401
    old = Sender.of(case, name="the old one still signs") if not signs_its_url(case) else new
    old.rotate(OTHER_SECRETS[case.kind], grace_hours=YEARS_HOURS)
    assert old.send().status != 401


@named(ONE_OF_EACH)
def test_a_secret_that_was_rotated_without_grace_is_401(sqlite_database, case):
    sender = Sender.of(case)
    sender.rotate(OTHER_SECRETS[case.kind])
    assert sender.send().status == 401
    assert rows("delivery") == []


# --- handshakes -----------------------------------------------------------------------------


@named(every("answered"))
def test_the_handshake_is_answered_byte_by_byte_and_starts_nothing(sqlite_database, case):
    sender = Sender.of(case)
    reply = sender.send()
    assert (reply.status, reply.body) == (case.response["status"], case.response["body"].encode())
    assert reply.header("content-type") == case.response["content_type"]
    assert reply.header("x-content-type-options") == "nosniff"
    for name, value in case.response.get("headers", {}).items():
        assert reply.header(name) == value
    assert (rows("delivery"), runs(), sender.rejections()) == ([], [], [])


PROVED_HANDSHAKES = [
    case
    for case in every("answered")
    if case.verification
    and case.request.method == "POST"
    and not HANDSHAKES[case.preset.handshake or ""].before_verification
]


@named(PROVED_HANDSHAKES)
def test_a_handshake_that_is_not_signed_is_401(sqlite_database, case):
    sender = Sender.of(case, {"signing": OTHER_SECRETS[case.kind]})
    reply = sender.send()
    assert (reply.status, reply.json) == (401, UNAUTHORIZED)
    assert rows("webhook")[0].confirm_url is None


@named(every("forged", "malformed", "media type"))
def test_a_handshake_that_the_vendor_would_not_send_is_refused(sqlite_database, case):
    sender = Sender.of(case)
    reply = sender.send()
    assert reply.status == {"forged": 403, "malformed": 400, "media type": 415}[case.outcome]
    assert (rows("delivery"), len(sender.rejections())) == ([], 1)


@named(every("answered"))
def test_a_disabled_webhook_answers_no_handshake(sqlite_database, case):
    sender = Sender.of(case, enabled=False)
    assert sender.send().status == case.preset.disabled_status


# --- hostile headers ------------------------------------------------------------------------

BY_HEADER = [case for case in ONE_OF_EACH if headers_read(case)]
ON_THE_WIRE = [value for value in HOSTILE if all(ord(character) < 256 for character in value)]
"""What can be in a header at all: bytes."""


@named(BY_HEADER)
def test_hostile_values_of_a_header_are_401_and_never_a_problem(sqlite_database, case, caplog):
    sender = Sender.of(case)
    for header in headers_read(case):
        for value in ON_THE_WIRE:
            headers = (*without(case, header), (header, value))
            reply = sender.send(headers=headers)
            assert (reply.status, reply.json) == (401, UNAUTHORIZED), (header, value)
    assert rows("delivery") == []
    assert "endpoint_error" not in caplog.text


@named(BY_HEADER)
def test_a_header_that_is_there_twice_is_401(sqlite_database, case):
    """Below the api-server both arrive as one value, with a comma between them."""
    sender = Sender.of(case)
    kept = read_scheme(case.verification[0]).scheme
    for header in headers_read(case):
        if getattr(kept, "layout", "") == "list":
            continue  # a vendor's own list looks the same, and one signature of it has to fit
        again = next(value for name, value in case.request.headers if name.lower() == header)
        reply = sender.send(headers=(*case.request.headers, (header, again)))
        assert (reply.status, reply.json) == (401, UNAUTHORIZED), header
    assert rows("delivery") == []


@named([case for case in ONE_OF_EACH if case.kind in ("mailgun", "sns", "body-key", "query-key")])
@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"null", b"\xff", b"[" * 5000, b'{"value":[1]}'])
def test_a_body_without_its_scheme_is_401(sqlite_database, case, body):
    sender = Sender.of(case)
    reply = sender.send(body=body, query_string="")
    assert (reply.status, reply.json, rows("delivery")) == (401, UNAUTHORIZED, [])


def without(case: Case, header: str) -> list[tuple[str, str]]:
    return [pair for pair in case.request.headers if pair[0].lower() != header]


# --- what verification does not stand in the way of -----------------------------------------


@named(ONE_OF_EACH)
def test_a_verification_needs_no_scheme_and_starts_nothing(sqlite_database, case):
    sender = Sender.of(case)
    reply = sender.endpoint.request("GET", sender.hook.path)
    assert reply.status == 200
    assert (rows("delivery"), runs()) == ([], [])


def test_the_same_request_is_a_delivery_only_once_where_its_preset_knows_its_id(sqlite_database):
    sender = Sender.of(next(case for case in PROVED if case.preset.name == "stripe"))
    first, second = sender.send(), sender.send()
    assert (first.status, second.status) == (200, 200)
    assert json.loads(second.body) == {"status": "duplicate", "delivery_id": first.json["delivery_id"]}
    assert len(rows("delivery")) == 1
