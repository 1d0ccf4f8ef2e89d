"""The contract that every sender keeps: the same tests over what each vendor signed."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from inbound_webhooks.errors import (
    HandshakeForged,
    HandshakeMalformed,
    InvalidDefinition,
    MediaTypeUnsupported,
    SecretMissing,
    VerificationFailed,
)
from inbound_webhooks.event.handshakes.registry import HANDSHAKES
from inbound_webhooks.event.verification.registry import check_secret, read_scheme
from inbound_webhooks.event.verification.scheme import SignedRequest
from inbound_webhooks.presets import PRESETS
from tests.unit.presets.signed_cases import CASES, OTHER_SECRETS, OUTCOMES, Case, every, read

DAY_SECONDS = 86_400

TIMED = {
    "aws-sns",
    "gitlab-signed",
    "hubspot",
    "linear",
    "mailgun",
    "sendgrid",
    "slack",
    "slack-command",
    "standard-webhooks",
    "stripe",
    "svix",
    "zoom",
}
"""The presets whose signature covers a time."""

UNSIGNED = {"airbyte"}
"""The presets whose sender proves nothing but that it knows the URL."""

HOSTILE = (
    "",
    " ",
    "\t",
    "\0",
    "0",
    "=",
    ",",
    ",,,,",
    "t=,v1=",
    "t=1,t=2,v1=00",
    "v0=",
    "v1=",
    "v1,",
    "v1, v1a, v2",
    "v1a,AAAA",
    "sha1=" + "0" * 40,
    "sha256=" + "0" * 64,
    "sha256=" + "٣" * 64,
    "sha256=" + "zz" * 32,
    "sha256=0",
    "v0=" + "0" * 64,
    "v1=" + "0" * 64 + ",v1=" + "1" * 64,
    "v1=0," * 1_000,
    "v1,AA== " * 1_000,
    "0" * 64,
    "0" * 100_000,
    "AAAA",
    "AAA",
    "====",
    "AAAA\n",
    "Bearer",
    "Bearer " + "." * 50,
    "Bearer eyJhbGciOiJub25lIn0.e30.",
    "Basic Og==",
    "1_0",
    " 12 ",
    "nan",
    "1e9",
    "-1",
    "9" * 16,
    "9" * 17,
    "ü",
    "\xa0",
    "\udc80",
    "\ud800",
    "𝟘𝟙",
)

ACCEPTED = every("accepted")
PROVED = [case for case in ACCEPTED if case.verification]


def named(cases: list[Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=str)


def test_every_preset_has_cases_and_every_case_file_a_preset() -> None:
    assert {path.stem for path in CASES.iterdir()} == set(PRESETS)


@pytest.mark.parametrize("preset", PRESETS)
def test_every_case_is_of_a_kind_that_some_test_below_reads(preset: str) -> None:
    assert {case.outcome for case in read(preset)} <= set(OUTCOMES)


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_has_a_request_that_the_vendor_would_sign(preset: str) -> None:
    assert any(case.outcome == "accepted" for case in read(preset))


@pytest.mark.parametrize("preset", PRESETS)
def test_every_handshake_has_an_answer_to_compare_with(preset: str) -> None:
    answered = any(case.outcome == "answered" for case in read(preset))

    assert answered == (PRESETS[preset].handshake is not None)


@named(ACCEPTED)
def test_accepts_what_the_vendor_signed(case: Case) -> None:
    assert set(case.prove()) == (set() if case.preset.name in UNSIGNED else {"signing"})


@named(every("refused"))
def test_refuses_what_the_vendor_would_not_send(case: Case) -> None:
    with pytest.raises(VerificationFailed):
        case.prove()


@named([case for case in PROVED if case.preset.signs_body and case.kind != "query-hmac"])
def test_refuses_a_changed_body(case: Case) -> None:
    body = case.request.body
    changes = [b"x" + body, body + b"x", body[:-1], body[1:], b"{}"]
    if case.kind != "sns":  # which signs the fields, not the white space between them
        changes.append(body[:1] + b" " + body[1:])
    for changed in changes:
        if changed != body:
            with pytest.raises(VerificationFailed):
                case.prove(replace(case.request, body=changed))


@named([case for case in ACCEPTED if not case.preset.signs_body and case.request.body[:1] in b"{["])
def test_says_so_where_a_changed_body_goes_unnoticed(case: Case) -> None:
    case.prove(replace(case.request, body=case.request.body + b" "))


@named(PROVED)
def test_refuses_another_secret(case: Case) -> None:
    with pytest.raises(VerificationFailed):
        case.signing(OTHER_SECRETS[case.kind])


@named(PROVED)
def test_refuses_everything_without_a_secret(case: Case) -> None:
    with pytest.raises(SecretMissing):
        case.signing()
    for secrets in (("",), (*case.secrets["signing"], "")):
        with pytest.raises(VerificationFailed):
            case.signing(*secrets)


@named(PROVED)
def test_accepts_the_old_and_the_new_secret_while_one_is_rotated(case: Case) -> None:
    right, other = case.secrets["signing"][case.prove()["signing"]], OTHER_SECRETS[case.kind]

    assert case.signing(right, other) == {"signing": 0}
    assert case.signing(other, right) == {"signing": 1}


@named(PROVED)
def test_takes_the_vendors_secret_when_it_is_saved_and_not_a_broken_one(case: Case) -> None:
    scheme = read_scheme(case.verification[0]).scheme

    for secret in (*case.secrets["signing"], OTHER_SECRETS[case.kind]):
        check_secret(scheme, secret)
    for broken in ("", " ", "\n", "\0"):
        with pytest.raises(InvalidDefinition):
            check_secret(scheme, broken)


@named(PROVED)
def test_refuses_when_a_header_of_the_scheme_is_missing(case: Case) -> None:
    for name in headers_read(case):
        with pytest.raises(VerificationFailed):
            case.prove(without(case.request, name))


@named(PROVED)
def test_refuses_when_a_header_of_the_scheme_is_there_twice(case: Case) -> None:
    for name in headers_read(case):
        again = tuple(pair for pair in case.request.headers if pair[0].lower() == name)
        with pytest.raises(VerificationFailed):
            case.prove(replace(case.request, headers=case.request.headers + again))


@named([case for case in PROVED if case.kind in ("mailgun", "sns", "body-key", "query-key", "query-hmac")])
def test_refuses_when_body_and_query_hold_no_scheme(case: Case) -> None:
    for body in (b"", b"{}", b"[]", b"null", b"\xff", b"signature=&timestamp=&token=", b'{"value":[]}'):
        with pytest.raises(VerificationFailed):
            case.prove(replace(case.request, body=body, query_string=""))


@named([case for case in PROVED if case.preset.name in TIMED and case.kind not in ("digest", "query-hmac")])
def test_refuses_a_time_that_is_too_far_away(case: Case) -> None:
    for seconds in (DAY_SECONDS, -DAY_SECONDS):
        with pytest.raises(VerificationFailed):
            case.later(seconds)


@named([case for case in PROVED if case.preset.name not in TIMED and case.kind != "jwt"])
def test_accepts_at_any_time_where_no_time_is_signed(case: Case) -> None:
    case.later(365 * DAY_SECONDS)


@named(PROVED)
def test_refuses_hostile_headers_and_never_fails_otherwise(case: Case) -> None:
    for name, value in product(headers_read(case), HOSTILE):
        headers = (*without(case.request, name).headers, (name, value))
        with pytest.raises(VerificationFailed):
            case.prove(replace(case.request, headers=headers))


@pytest.mark.parametrize("preset", sorted(set(PRESETS) - UNSIGNED))
@settings(max_examples=settings().max_examples // 4, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_never_fails_otherwise_whatever_comes(preset: str, data: st.DataObject) -> None:
    case = next(case for case in PROVED if case.preset.name == preset and case.kind)
    text = st.text(max_size=60)
    headers = tuple((name, data.draw(text)) for name in headers_read(case))
    request = SignedRequest(
        method=data.draw(text),
        url=data.draw(st.sampled_from(["http://[", "https://h:x/", "", "//"])) + data.draw(text),
        query_string=data.draw(text),
        headers=headers or case.request.headers,
        body=data.draw(st.binary(max_size=200)),
    )
    with pytest.raises(VerificationFailed):
        case.prove(request)


@named(every("answered"))
def test_answers_the_handshake_byte_by_byte(case: Case) -> None:
    if case.request.method == "POST" and not HANDSHAKES[case.preset.handshake or ""].before_verification:
        case.prove()
    answered = case.handshake()

    assert answered is not None
    assert answered.response.status == case.response["status"]
    assert answered.response.content_type == case.response["content_type"]
    assert answered.response.body == case.response["body"].encode()
    assert dict(answered.response.headers) == case.response.get("headers", {})
    assert answered.confirm_url == case.response.get("confirm_url")
    assert ("X-Content-Type-Options", "nosniff") in answered.response.all_headers


@named([case for case in ACCEPTED if case.preset.handshake])
def test_takes_no_event_for_a_handshake(case: Case) -> None:
    assert case.handshake() is None


@named(every("forged", "malformed", "media type"))
def test_refuses_a_handshake_that_the_vendor_would_not_send(case: Case) -> None:
    error = {
        "forged": HandshakeForged,
        "malformed": HandshakeMalformed,
        "media type": MediaTypeUnsupported,
    }[case.outcome]
    with pytest.raises(error):
        case.handshake()


def headers_read(case: Case) -> set[str]:
    """The headers, in lower case, without which its verification fails."""
    made = read_scheme(case.verification[0]).scheme
    names = {getattr(made, name, "") for name in ("header", "timestamp_from", "id_from")}
    if getattr(made, "layout", "") == "pairs":
        names.discard(made.timestamp_from)  # type: ignore[attr-defined]
    if prefix := getattr(made, "header_prefix", ""):
        names = {f"{prefix}{part}" for part in ("id", "timestamp", "signature")}
    return {name.lower() for name in names if name}


def without(request: SignedRequest, name: str) -> SignedRequest:
    return replace(request, headers=tuple(pair for pair in request.headers if pair[0].lower() != name))
