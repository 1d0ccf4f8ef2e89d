"""Verification: how its settings are checked, and what no vendor's own case shows."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from inbound_webhooks.errors import InvalidDefinition, SecretMissing, VerificationFailed
from inbound_webhooks.event.ip_allow_list import IpAllowList
from inbound_webhooks.event.verification.registry import SCHEMES, check_secret, read_scheme, verify
from inbound_webhooks.event.verification.scheme import (
    SignedRequest,
    check_time,
    first_match,
    from_base64,
    from_hex,
    from_hex_of_any_case,
)
from inbound_webhooks.event.verification.sns import is_confirmation_url, is_sns_url
from tests.unit.presets.signed_cases import Case, read

NOW = datetime.fromtimestamp(1_700_000_000, timezone.utc)

# https://www.rfc-editor.org/rfc/rfc4231#section-4.3
RFC_BODY = b"what do ya want for nothing?"
RFC_SECRET = "Jefe"
RFC_SHA256 = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"


def request(body: bytes = RFC_BODY, query_string: str = "", **headers: str) -> SignedRequest:
    return SignedRequest(
        method="POST",
        url="https://example.com/hook",
        query_string=query_string,
        headers=tuple((name.replace("_", "-"), value) for name, value in headers.items()),
        body=body,
    )


def prove(settings: dict[str, Any], signed: SignedRequest, *secrets: str) -> dict[str, int]:
    return verify([read_scheme(settings)], signed, {"signing": secrets}, NOW)


def is_verified(settings: dict[str, Any], signed: SignedRequest, *secrets: str) -> bool:
    try:
        prove(settings, signed, *secrets)
    except VerificationFailed:
        return False
    return True


def first(preset: str) -> Case:
    return next(case for case in read(preset) if case.outcome == "accepted")


# --- decoding and the clock -----------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "0", "0g", "0G", "AB", " 00", "00 ", "00 00", "0x00", "００", "00\n"])
def test_refuses_hex_that_is_not_plain_lower_case_hex(text: str) -> None:
    with pytest.raises(VerificationFailed):
        from_hex(text, "X")


def test_reads_hex_of_both_cases_only_where_that_is_asked_for() -> None:
    assert from_hex("ab", "X") == from_hex_of_any_case("AB", "X") == b"\xab"


@pytest.mark.parametrize("text", ["A", "AAA", "A A A A", "AAAA\n", "-_-_", "AAA=A", "ÄÄÄÄ"])
def test_refuses_base64_that_python_would_let_through(text: str) -> None:
    with pytest.raises(VerificationFailed):
        from_base64(text, "X")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1_700_000_000",
        " 1700000000",
        "1700000000 ",
        "1700000000\n",
        "1700000000.0",
        "1.7e9",
        "nan",
        "+1700000000",
        "-1",
        "١٧٠٠٠٠٠٠٠٠",
        "17000000000000000",
        "0x65",
    ],
)
def test_refuses_a_time_that_python_would_read_but_no_vendor_writes(text: str) -> None:
    with pytest.raises(VerificationFailed):
        check_time(text, NOW, tolerance_seconds=300)


@pytest.mark.parametrize("age", [0, 299, 300, -300])
def test_takes_a_time_within_the_window(age: int) -> None:
    check_time(str(1_700_000_000 - age), NOW, tolerance_seconds=300)


@pytest.mark.parametrize("age", [301, -301])
def test_the_window_has_two_sides(age: int) -> None:
    with pytest.raises(VerificationFailed, match="301 s"):
        check_time(str(1_700_000_000 - age), NOW, tolerance_seconds=300)


@pytest.mark.parametrize("text", ["170000000", "17000000000", "1700000000000"])
def test_without_a_window_a_time_has_ten_digits_so_that_none_moves_into_the_body(text: str) -> None:
    with pytest.raises(VerificationFailed):
        check_time(text, NOW, tolerance_seconds=None)


def test_discords_digits_cannot_move_from_the_time_into_the_body() -> None:
    case = first("discord")
    headers = tuple(
        (name, value[:-1] if name == "X-Signature-Timestamp" else value)
        for name, value in case.request.headers
    )

    with pytest.raises(VerificationFailed, match="10 digits"):
        case.prove(replace(case.request, headers=headers, body=b"0" + case.request.body))


@given(st.lists(st.binary(max_size=1), max_size=4), st.lists(st.binary(max_size=1), max_size=4))
def test_first_match_names_the_first_expected_value_that_was_presented(
    expected: list[bytes], presented: list[bytes]
) -> None:
    wanted = next((index for index, value in enumerate(expected) if value in presented), None)

    assert first_match(expected, presented) == wanted


@contextmanager
def comparisons() -> Iterator[list[object]]:
    """Calls of hmac.compare_digest."""
    calls: list[object] = []

    def note(_frame: object, happened: str, called: object) -> None:
        if happened == "c_call" and called is hmac.compare_digest:
            calls.append(called)

    sys.setprofile(note)
    try:
        yield calls
    finally:
        sys.setprofile(None)


@pytest.mark.parametrize(
    ("settings", "signed"),
    [
        ({"kind": "hmac", "header": "X-Sig"}, request(X_Sig=RFC_SHA256)),
        ({"kind": "header-key", "header": "X-Key"}, request(X_Key=RFC_SECRET)),
        ({"kind": "query-key", "field": "key"}, request(query_string=f"key={RFC_SECRET}")),
    ],
    ids=lambda given: given["kind"] if isinstance(given, dict) else "",
)
def test_each_secret_is_compared_in_constant_time(settings: dict[str, Any], signed: SignedRequest) -> None:
    with comparisons() as compared:
        assert is_verified(settings, signed, RFC_SECRET, "another secret", "a third one")

    assert len(compared) == 3


# --- settings -------------------------------------------------------------------------------

HMAC = {"kind": "hmac", "header": "X-Sig"}


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({}, "None is not one of"),
        ({"kind": "md5"}, "is not one of"),
        ({"kind": ["hmac"]}, "is not one of"),
        ({"kind": "hmac"}, "it needs the setting header"),
        ({"kind": "hmac", "header": ""}, "header is empty"),
        ({"kind": "hmac", "header": "X Y"}, "header is not the name of a header"),
        ({"kind": "hmac", "header": "X:"}, "header is not the name of a header"),
        (HMAC | {"purpose": ""}, "purpose"),
        (HMAC | {"purpose": 1}, "purpose"),
        (HMAC | {"colour": "red"}, "it has no setting colour"),
        (HMAC | {"algorithm": "md5"}, "algorithm is not one of sha1, sha256, sha512"),
        (HMAC | {"encoding": "HEX"}, "encoding is not one of hex"),
        (HMAC | {"layout": ["plain"]}, "layout is not one of plain, list, pairs"),
        (HMAC | {"prefix": 1}, "prefix is not a text"),
        (HMAC | {"timestamp_milliseconds": 1}, "is not true or false"),
        (HMAC | {"tolerance_seconds": "300"}, "is not a number above 0"),
        (HMAC | {"tolerance_seconds": float("nan")}, "is not a number above 0"),
        (HMAC | {"tolerance_seconds": float("inf")}, "is not a number above 0"),
        (HMAC | {"tolerance_seconds": 10**400}, "is not a number above 0"),
        (HMAC | {"tolerance_seconds": -1}, "is not a number above 0"),
        (HMAC | {"tolerance_seconds": True}, "is not a number above 0"),
        (HMAC | {"signed": "{timestamp}"}, "it leaves the body out"),
        (HMAC | {"signed": "{body}{nonce}"}, "there is no {nonce}"),
        (HMAC | {"signed": "{id}.{body}"}, "it goes with {id}"),
        (HMAC | {"id_from": "Y"}, "it goes with {id}"),
        (HMAC | {"signed": "{timestamp}.{body}"}, "it goes with {timestamp}"),
        (HMAC | {"timestamp_from": "Y"}, "it goes with {timestamp}"),
        (HMAC | {"layout": "pairs"}, "pairs need the key"),
        ({"kind": "digest", "header": "X", "signed": "{timestamp}{body}"}, "there is no {timestamp}"),
        ({"kind": "jwt", "algorithms": []}, "algorithms"),
        ({"kind": "jwt", "algorithms": "RS256"}, "algorithms is not a list of texts"),
        ({"kind": "jwt", "algorithms": ["none"]}, "algorithms"),
        ({"kind": "jwt", "algorithms": ["HS256", "RS256"]}, "algorithms"),
        ({"kind": "sns", "topic_arns": [1]}, "topic_arns is not a list of texts"),
        ({"kind": "query-key", "field": ""}, "field is empty"),
    ],
)
def test_refuses_settings_that_could_not_work_and_says_which(settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidDefinition) as refused:
        read_scheme(settings)

    assert reason in refused.value.message


SETTINGS = ("header", "prefix", "signed", "tolerance_seconds", "algorithms", "field", "items", "x")
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.lists(st.text(max_size=5)),
    st.lists(st.integers()),
    st.dictionaries(st.text(), st.text()),
)


@given(st.sampled_from(sorted(SCHEMES)), st.dictionaries(st.sampled_from(SETTINGS), VALUES))
def test_settings_are_taken_or_refused_and_nothing_else(kind: str, settings: dict[str, Any]) -> None:
    with suppress(InvalidDefinition):
        read_scheme({"kind": kind, **settings})


@pytest.mark.parametrize(
    ("settings", "secret"),
    [
        (HMAC, "secret\n"),
        (HMAC, "secr\0et"),
        ({"kind": "header-key", "header": "X"}, "schlüssel"),
        ({"kind": "standard-webhooks"}, "whsec_not base64!"),
        ({"kind": "standard-webhooks"}, "whsec_="),
        ({"kind": "standard-webhooks"}, "whsec_c2hvcnQ="),
        ({"kind": "standard-webhooks"}, "whpk_c2hvcnQ="),
        ({"kind": "ed25519"}, "00"),
        ({"kind": "ed25519"}, "zz" * 32),
        ({"kind": "ecdsa"}, "not a key"),
        ({"kind": "ecdsa"}, "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="),
        ({"kind": "sns"}, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"),
        ({"kind": "jwt", "algorithms": ["RS256"]}, "not a key"),
        ({"kind": "jwt", "algorithms": ["RS256"]}, '{"keys": []}'),
        ({"kind": "jwt", "algorithms": ["RS256"]}, "{"),
        ({"kind": "jwt", "algorithms": ["HS256"]}, "short"),
    ],
)
def test_refuses_a_secret_that_could_prove_nothing_without_repeating_it(
    settings: dict[str, Any], secret: str
) -> None:
    with pytest.raises(InvalidDefinition) as refused:
        check_secret(read_scheme(settings).scheme, secret)

    assert refused.value.message.startswith("secrets: ")
    assert secret not in refused.value.message.removeprefix("secret: ")


@given(st.sampled_from(sorted(SCHEMES)), st.text(max_size=50))
def test_a_secret_is_taken_or_refused_and_nothing_else(kind: str, secret: str) -> None:
    needed: dict[str, dict[str, Any]] = {
        "jwt": {"algorithms": ["RS256"]},
        "basic": {"username": "u"},
        "body-key": {"items": "v", "field": "f"},
        "query-key": {"field": "f"},
    }
    settings = needed.get(kind, {"header": "X"} if kind in ("hmac", "digest", "header-key") else {})
    with suppress(InvalidDefinition):
        check_secret(read_scheme({"kind": kind, **settings}).scheme, secret)


# --- HMAC -----------------------------------------------------------------------------------


def test_the_algorithm_is_the_one_that_is_set_whatever_the_header_says() -> None:
    sha1 = "sha1=effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"  # RFC 2202, the same text and key
    settings = HMAC | {"prefix": "sha256="}

    assert is_verified(settings, request(X_Sig=f"sha256={RFC_SHA256}"), RFC_SECRET)
    assert not is_verified(settings, request(X_Sig=sha1), RFC_SECRET)


@pytest.mark.parametrize(
    ("value", "fits"),
    [
        (f"v1={RFC_SHA256}", True),
        (f"v1={'0' * 64}, v1={RFC_SHA256}", True),
        (f"v1=broken,v1={RFC_SHA256}", True),
        (f"v0={RFC_SHA256}", False),
        (RFC_SHA256, False),
        ("v1=00," * 9 + f"v1={RFC_SHA256}", True),
        ("v1=00," * 10 + f"v1={RFC_SHA256}", False),
    ],
)
def test_of_several_signatures_one_has_to_fit_and_few_are_tried(value: str, fits: bool) -> None:
    settings = HMAC | {"prefix": "v1=", "layout": "list"}

    assert is_verified(settings, request(X_Sig=value), RFC_SECRET) == fits


def test_a_plain_header_holds_one_signature() -> None:
    twice = f"v1={RFC_SHA256},v1={RFC_SHA256}"

    assert not is_verified(HMAC | {"prefix": "v1="}, request(X_Sig=twice), RFC_SECRET)


def test_too_many_parts_are_not_even_looked_at() -> None:
    many = ",".join([f"v1={RFC_SHA256}"] * 13)

    assert not is_verified(HMAC | {"prefix": "v1=", "layout": "list"}, request(X_Sig=many), RFC_SECRET)


def test_a_header_of_absurd_length_is_not_looked_at() -> None:
    settings = {"kind": "header-key", "header": "X-Key"}

    assert is_verified(settings, request(X_Key="k" * 4096), "k" * 4096)
    assert not is_verified(settings, request(X_Key="k" * 4097), "k" * 4097)


@pytest.mark.parametrize("second", ["t=1492774577", "t="])
def test_a_stripe_header_has_one_time(second: str) -> None:
    case = first("stripe")
    headers = tuple(
        (name, f"{value},{second}" if name == "Stripe-Signature" else value)
        for name, value in case.request.headers
    )

    with pytest.raises(VerificationFailed, match="one part that begins with t="):
        case.prove(replace(case.request, headers=headers))


def test_mailguns_signature_needs_its_token() -> None:
    # printf '%s' 1539112500 | openssl dgst -sha256 -hmac tbsy84uSV1Kt3ZJZELY2TmShPRs91E3yL4tzf96297vBCkDWgL
    signature = "4d51224ba9da9f44632b26f32c83443d09acdf5f68f9f437662f464293423460"
    case = first("mailgun")
    body = f"timestamp=1539112500&token=&signature={signature}".encode()

    with pytest.raises(VerificationFailed, match="no token"):
        case.prove(replace(case.request, body=body))


def test_a_signed_link_has_one_signature() -> None:
    case = next(case for case in read("shopify") if case.kind == "query-hmac")
    again = "&hmac=2cb1a277650a659f1b11e92a4a64275b128e037f2c3390e3c8fd2d8721dac9e2"

    with pytest.raises(VerificationFailed, match="one field hmac"):
        case.prove(replace(case.request, query_string=case.request.query_string + again))


def test_an_id_is_signed_with_the_body() -> None:
    # printf '%s' 'evt_1|what do ya want for nothing?' | openssl dgst -sha256 -hmac Jefe
    signature = "10dfa27e12a1257d3cbd4d1745db2f25cf424b78cf3493c412edda6c383f70c3"
    settings = HMAC | {"signed": "{id}|{body}", "id_from": "X-Id"}

    assert is_verified(settings, request(X_Sig=signature, X_Id="evt_1"), RFC_SECRET)
    assert not is_verified(settings, request(X_Sig=signature, X_Id="evt_2"), RFC_SECRET)
    assert not is_verified(settings, request(X_Sig=signature), RFC_SECRET)


def test_secrets_that_are_not_ascii_count_by_their_utf_8_bytes() -> None:
    # printf '%s' 'what do ya want for nothing?' | openssl dgst -sha256 -hmac 'schlüssel'
    signature = "1c77f2eda7d77f3f6e00956265df9d7e7f67549b63c982bc969ee9d8b8cf1315"

    assert is_verified(HMAC, request(X_Sig=signature), "schlüssel")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "has no time"),
        (b"{", "has no time"),
        (b"[]", "has no time"),
        (b"null", "has no time"),
        (b'{"at": null}', "has no time"),
        (b'{"at": "1700000000000"}', "has no time"),
        (b'{"at": true}', "has no time"),
        (b'{"at": 1.7e12}', "has no time"),
        (b'{"at": -1}', "is not a number"),
        (b'{"at": 1699999000000}', "old"),
        (b'{"at": 1700000100000}', "in the future"),
        (b"\xff", "has no time"),
    ],
)
def test_a_time_in_the_body_has_to_be_there_and_near(body: bytes, reason: str) -> None:
    # Made here: what is under test is the time, not the signature.
    signature = hmac.new(b"s", body, hashlib.sha256).hexdigest()
    settings = HMAC | {"body_timestamp": "at", "tolerance_seconds": 60}
    with pytest.raises(VerificationFailed, match=reason):
        prove(settings, request(body, X_Sig=signature), "s")


# --- keys -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "fits"),
    [
        ("Bearer k3y", True),
        ("bearer k3y", True),
        ("Bearer  k3y", True),
        ("k3y", False),
        ("Bearer", False),
        ("Basic k3y", False),
        ("Bearer k3y2", False),
        ("Bearer k3", False),
    ],
)
def test_a_key_stands_behind_its_prefix(value: str, fits: bool) -> None:
    settings = {"kind": "header-key", "header": "Authorization", "prefix": "Bearer "}

    assert is_verified(settings, request(Authorization=value), "other", "k3y") == fits


@pytest.mark.parametrize(
    ("written", "fits"),
    [
        ("user:päss", True),
        ("user:pass", False),
        ("other:päss", False),
        ("userpäss", False),
        (":päss", False),
        ("user:", False),
        ("", False),
    ],
)
def test_basic_wants_the_right_user_and_password(written: str, fits: bool) -> None:
    signed = request(Authorization="Basic " + base64.b64encode(written.encode()).decode())

    assert is_verified({"kind": "basic", "username": "user"}, signed, "päss") == fits


@pytest.mark.parametrize("value", ["Basic", "Basic !!!", "Basic dXNlcg", "Bearer dXNlcjpwYXNz"])
def test_basic_refuses_what_is_not_basic(value: str) -> None:
    assert not is_verified({"kind": "basic", "username": "user"}, request(Authorization=value), "pass")


@pytest.mark.parametrize(
    ("query", "fits"),
    [
        ("code=k%20y", True),
        ("a=1&code=k+y", True),
        ("code=k", False),
        ("code=k+y&code=k+y", False),
        ("code=", False),
        ("", False),
        ("Code=k+y", False),
        ("a&" * 2_000 + "code=k+y", False),
    ],
)
def test_a_key_in_the_query_is_there_once(query: str, fits: bool) -> None:
    settings = {"kind": "query-key", "field": "code"}

    assert is_verified(settings, request(query_string=query), "k y") == fits


@pytest.mark.parametrize(
    ("body", "fits"),
    [
        ('{"value": [{"clientState": "s"}]}', True),
        ('{"value": [{"clientState": "s"}, {"clientState": "s"}]}', True),
        ('{"value": [{"clientState": "s"}, {"clientState": "t"}]}', False),
        ('{"value": [{"clientState": "t"}, {"clientState": "s"}]}', False),
        ('{"value": [{"clientState": "s"}, {}]}', False),
        ('{"value": [{"clientState": "s"}, "s"]}', False),
        ('{"value": [{"clientState": ["s"]}]}', False),
        ('{"value": {"clientState": "s"}}', False),
        ('{"value": []}', False),
        ('{"value": [{"clientState": ""}]}', False),
        ('{"value": [{"clientState": "\\ud800"}]}', False),
    ],
)
def test_every_item_needs_the_key(body: str, fits: bool) -> None:
    settings = {"kind": "body-key", "items": "value", "field": "clientState"}

    assert is_verified(settings, request(body.encode()), "s") == fits


def test_two_verification_have_both_to_hold_each_with_its_own_secret() -> None:
    verification = [
        read_scheme(HMAC),
        read_scheme({"kind": "header-key", "header": "X-Key", "purpose": "key"}),
    ]
    signed = request(X_Sig=RFC_SHA256, X_Key="k3y")
    right = {"signing": [RFC_SECRET], "key": ["old", "k3y"]}

    assert verify(verification, signed, right, NOW) == {"signing": 0, "key": 1}
    with pytest.raises(VerificationFailed):
        verify(verification, signed, {"signing": [RFC_SECRET], "key": [RFC_SECRET]}, NOW)
    with pytest.raises(SecretMissing):
        verify(verification, signed, {"signing": [RFC_SECRET]}, NOW)


@pytest.mark.parametrize(
    ("address", "admitted"),
    [
        ("192.0.2.1", True),
        ("::ffff:192.0.2.1", True),
        ("2001:db8::1", True),
        ("2001:db8::1%eth0", True),
        ("192.0.3.1", False),
        ("", False),
        ("host", False),
    ],
)
def test_addresses_are_let_in_by_block(address: str, admitted: bool) -> None:
    assert IpAllowList(allowed=("192.0.2.0/24", "2001:db8::/32")).admits(address) == admitted


# --- Amazon SNS -----------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["Message", "MessageId", "TopicArn", "Type", "SignatureVersion"])
def test_every_field_that_sns_signs_is_covered(field: str) -> None:
    case = first("aws-sns")
    message = json.loads(case.request.body)

    with pytest.raises(VerificationFailed):
        case.prove(replace(case.request, body=json.dumps(message | {field: message[field] + "x"}).encode()))


def test_the_time_that_sns_signs_is_covered() -> None:
    case = first("aws-sns")
    changed = case.request.body.replace(b"T19:55", b"T19:54")

    assert changed != case.request.body
    with pytest.raises(VerificationFailed):
        case.prove(replace(case.request, body=changed))


def test_sns_lets_only_the_topics_in_that_are_named() -> None:
    case = first("aws-sns")
    arn = json.loads(case.request.body)["TopicArn"]

    case.prove(verification=({**case.verification[0], "topic_arns": ["another", arn]},))
    for arns in ([arn + "x"], ["arn:aws:sns:*"]):
        with pytest.raises(VerificationFailed, match="TopicArn"):
            case.prove(verification=({**case.verification[0], "topic_arns": arns},))


def test_the_rejection_names_the_certificate_that_is_missing() -> None:
    case = first("aws-sns")
    url = json.loads(case.request.body)["SigningCertURL"]

    with pytest.raises(VerificationFailed) as refused:
        case.signing("no certificate")

    assert url in refused.value.message


@pytest.mark.parametrize(
    ("url", "own"),
    [
        ("https://sns.eu-west-1.amazonaws.com/x", True),
        ("https://sns.cn-north-1.amazonaws.com.cn/x", True),
        ("http://sns.eu-west-1.amazonaws.com/x", False),
        ("https://sns.eu-west-1.amazonaws.com:443/x", False),
        ("https://user@sns.eu-west-1.amazonaws.com/x", False),
        ("https://sns.eu-west-1.amazonaws.com.evil.example/x", False),
        ("https://evil.example/sns.eu-west-1.amazonaws.com", False),
        ("https://evil.example#sns.eu-west-1.amazonaws.com", False),
        ("https://sns.eu-west-1.amazonaws.com@evil.example/", False),
        ("https://sns.evil.example.amazonaws.com/x", False),
        ("https://sns.evil-amazonaws.com/x", False),
        ("https://sns..amazonaws.com/x", False),
        ("https://SNS.eu-west-1.amazonaws.com/x", False),
        ("https://sns.eu-west-1.amazonaws.com\\@evil.example/", False),
        ("https://sns.eu-west-1.amazonaws.com/\n", False),
        ("https://sns.eu-west-1.amazonaws.com/ x", False),
        ("https://[::1]/", False),
        ("https://[", False),
        ("javascript:alert(1)", False),
        ("", False),
    ],
)
def test_knows_amazons_own_addresses(url: str, own: bool) -> None:
    assert is_sns_url(url) == own


@pytest.mark.parametrize(
    ("rest", "confirms"),
    [
        ("/?Action=ConfirmSubscription&Token=1", True),
        ("/?Action=Unsubscribe&Token=1", False),
        ("/x?Action=ConfirmSubscription", False),
        ("/", False),
    ],
)
def test_only_a_link_that_confirms_is_one(rest: str, confirms: bool) -> None:
    assert is_confirmation_url("https://sns.eu-west-1.amazonaws.com" + rest) == confirms
    assert not is_confirmation_url("https://evil.example" + rest)


@given(st.text())
def test_any_text_is_an_address_of_amazons_or_not(text: str) -> None:
    assert not is_confirmation_url(text)
    assert not is_sns_url("https://" + text + ".example/")


# --- JSON Web Tokens ------------------------------------------------------------------------

JWT_SECRET = "0123456789abcdef0123456789abcdef"
JWT_SETTINGS = {
    "kind": "jwt",
    "algorithms": ["HS256"],
    "audience": "hooks",
    "issuer": "us",
    "subject": "sender",
    "email": "a@b.example",
    "body_hash_claim": "body",
}
# printf '%s' 'what do ya want for nothing?' | sha256sum
BODY_SHA256 = "b381e7fec653fc3ab9b178272366b8ac87fed8d31cb25ed1d0e1f3318644c89c"
CLAIMS = {
    "aud": "hooks",
    "iss": "us",
    "sub": "sender",
    "email": "a@b.example",
    "email_verified": True,
    "exp": 1_700_000_600,
    "nbf": 1_699_999_990,
    "body": BODY_SHA256,
}


def bearer(claims: dict[str, Any], key: str = JWT_SECRET, algorithm: str = "HS256") -> SignedRequest:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return request(Authorization="Bearer " + jwt.encode(claims, key, algorithm))


def test_a_token_of_the_right_sender_is_taken() -> None:
    url_safe = base64.urlsafe_b64encode(bytes.fromhex(BODY_SHA256)).decode().rstrip("=")

    assert prove(JWT_SETTINGS, bearer(CLAIMS), "x" * 32, JWT_SECRET) == {"signing": 1}
    for changed in ({"aud": ["other", "hooks"]}, {"body": url_safe}):
        assert is_verified(JWT_SETTINGS, bearer(CLAIMS | changed), JWT_SECRET)


@pytest.mark.parametrize(
    "changed",
    [
        {"aud": "other"},
        {"aud": None},
        {"aud": [["hooks"]]},
        {"iss": "them"},
        {"sub": "else"},
        {"email": "c@d.example"},
        {"email_verified": False},
        {"email_verified": "true"},
        {"exp": 1_699_999_000},
        {"exp": None},
        {"exp": "1700000600"},
        {"exp": True},
        {"exp": float("nan")},
        {"exp": float("inf")},
        {"exp": 10**400},
        {"nbf": 1_700_000_100},
        {"nbf": float("nan")},
        {"nbf": "now"},
        {"body": "0" * 64},
        {"body": None},
        {"body": 1},
    ],
)
def test_a_token_is_refused_when_a_claim_is_another(changed: dict[str, Any]) -> None:
    claims = {name: value for name, value in (CLAIMS | changed).items() if value is not None}

    assert not is_verified(JWT_SETTINGS, bearer(claims), JWT_SECRET)


def test_a_token_is_refused_that_is_signed_otherwise() -> None:
    for signed in (bearer(CLAIMS, "y" * 32), bearer(CLAIMS, JWT_SECRET, "HS512"), bearer(CLAIMS, "", "none")):
        assert not is_verified(JWT_SETTINGS, signed, JWT_SECRET)


def google_with_pem() -> Case:
    return next(case for case in read("google-pubsub") if "PEM" in case.name)


def test_a_public_key_is_no_shared_secret() -> None:
    case = google_with_pem()
    # The classic forgery: an HMAC whose key is the public key, which is public.
    header, payload = (
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
        for part in ({"alg": "HS256"}, {"iss": "https://accounts.google.com", "exp": 1_614_369_230})
    )
    pem = case.secrets["signing"][0].encode()
    mac = hmac.new(pem, f"{header}.{payload}".encode(), hashlib.sha256).digest()
    forged = f"Bearer {header}.{payload}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"

    with pytest.raises(VerificationFailed):
        case.prove(
            replace(case.request, headers=(("Authorization", forged),)), verification=case.preset.verification
        )


def test_googles_token_counts_for_its_hour_its_audience_and_its_account() -> None:
    case = google_with_pem()

    with pytest.raises(VerificationFailed):
        case.later(7_200)
    for name in ("audience", "email", "issuer"):
        with pytest.raises(VerificationFailed):
            case.prove(verification=({**case.verification[0], name: "another"},))


def test_a_header_of_a_token_that_is_nested_deeply_is_only_refused() -> None:
    deep = base64.urlsafe_b64encode(b"[" * 2_900).decode().rstrip("=")

    assert not is_verified(JWT_SETTINGS, request(Authorization=f"Bearer {deep}.e30.AAAA"), JWT_SECRET)


# --- Twilio ---------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["http://[", "", "//", "https://h:port/", "https://[::1]:1/", "\ud800"])
def test_twilio_refuses_an_address_that_cannot_be_read(url: str) -> None:
    case = first("twilio")

    with pytest.raises(VerificationFailed):
        case.prove(replace(case.request, url=url))


def test_twilio_refuses_a_form_that_is_too_large_or_no_ascii() -> None:
    case = first("twilio")

    for body in (b"a=1&" * 2_000, b"\xff=1"):
        with pytest.raises(VerificationFailed, match="not a form"):
            case.prove(replace(case.request, body=body))
