"""Amazon SNS: RSA signatures over named fields of the body, and which URLs belong to it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import parse_qsl, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from inbound_webhooks.errors import InvalidDefinition, KeyUnknown, VerificationFailed
from inbound_webhooks.event import json_text
from inbound_webhooks.event.verification.asymmetric import KEY_ERRORS, first_key
from inbound_webhooks.event.verification.scheme import SignedRequest, check_time, from_base64, to_bytes


@dataclass(frozen=True, kw_only=True)
class Sns:
    """Amazon SNS: RSA over named fields of the JSON body
    (https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html).

    The secrets are certificates in PEM: no request causes a fetch. The URL of the certificate in the
    message must still be one of SNS's own, and the rejection names it if no certificate matches. With
    ``refresh_keys`` the dispatcher fetches it afterwards. An empty ``topic_arns`` accepts every topic.
    """

    topic_arns: tuple[str, ...] = ()
    tolerance_seconds: float | None = 3600
    refresh_keys: bool = False

    def check(self, request: SignedRequest, secrets: Sequence[str], now: datetime) -> int | None:
        """See :class:`inbound_webhooks.event.verification.scheme.VerificationScheme`;
        the secrets are certificates in PEM."""
        message = sns_message(request.body)
        if "Signature" not in message:
            raise VerificationFailed("The body holds no Signature.", is_missing=True)
        certificate_url = message.get("SigningCertURL", "")
        if not is_certificate_url(certificate_url):
            raise VerificationFailed("SigningCertURL is not the URL of an Amazon SNS certificate.")
        topic = message.get("TopicArn", "")
        if self.topic_arns and topic not in self.topic_arns:
            raise VerificationFailed("TopicArn is not one of this webhook's topics.")
        # A topic is signed for in its own region. So the keys of others cannot be asked for in its name.
        if region_of_topic(topic) != region_of_url(certificate_url):
            raise VerificationFailed("SigningCertURL is not of the region in TopicArn.")
        sent = _sent_at(message.get("Timestamp", ""))
        if self.tolerance_seconds is not None:
            seconds = str(int(sent.timestamp()))
            check_time(seconds, now, tolerance_seconds=self.tolerance_seconds)
        try:
            return _first_certificate(message, secrets, sent, f"Signature (certificate {certificate_url})")
        except VerificationFailed as error:
            if self.refresh_keys:
                raise KeyUnknown(certificate_url, error.message) from None
            raise

    def check_secret(self, secret: str) -> None:
        """See :class:`inbound_webhooks.event.verification.scheme.VerificationScheme`."""
        try:
            _rsa_key(x509.load_pem_x509_certificate(to_bytes(secret)))
        except KEY_ERRORS:
            reason = "it is not a certificate in PEM (-----BEGIN CERTIFICATE-----) with an RSA key"
            raise InvalidDefinition("secrets", reason) from None


_DIGESTS: dict[str, hashes.HashAlgorithm] = {
    "1": hashes.SHA1(),  # noqa: S303 - SNS's default; version 2 is a setting of the topic
    "2": hashes.SHA256(),
}
# Exactly a region's: a name with a digit in front, such as s3-us-west-2, would be a bucket of anyone's.
_HOST = re.compile(r"sns\.([a-z]{2,4}(?:-[a-z]{2,12}){1,3}-[0-9]{1,2})\.amazonaws\.com(\.cn)?")
_TOPIC = re.compile(r"arn:aws[a-z-]{0,20}:sns:([a-z0-9-]{1,40}):[0-9]{12}:[A-Za-z0-9_.-]{1,256}")
_CERTIFICATE = re.compile(r"/SimpleNotificationService-[0-9a-f]{32}\.pem")
_URL = re.compile(r"https://[!-~]{1,2000}")
SIGNED_FIELDS = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": (
        "Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type",
    ),
}  # fmt: skip
"""Type of a message -> the fields that are signed, in order."""

SIGNED_FIELDS["UnsubscribeConfirmation"] = SIGNED_FIELDS["SubscriptionConfirmation"]


def is_sns_url(url: str) -> bool:
    """Whether a URL belongs to Amazon SNS, over https."""
    return region_of_url(url) is not None


def region_of_url(url: str) -> str | None:
    """The region of a URL that belongs to Amazon SNS, over https; None for every other URL."""
    try:
        netloc = urlsplit(url).netloc
    except ValueError:
        return None
    # All of netloc is compared, so that neither a port nor a user name gets through.
    host = _HOST.fullmatch(netloc) if _URL.fullmatch(url) else None
    # China's regions, and only those, have a domain of their own.
    if host is None or host[1].startswith("cn-") != bool(host[2]):
        return None
    return host[1]


def region_of_topic(arn: str) -> str | None:
    """The region in a topic's ARN, None if it is not one."""
    topic = _TOPIC.fullmatch(arn)
    return topic[1] if topic else None


def is_confirmation_url(url: str) -> bool:
    """Whether a URL of Amazon SNS confirms a subscription."""
    if not is_sns_url(url):
        return False
    parts = urlsplit(url)
    return parts.path == "/" and ("Action", "ConfirmSubscription") in parse_qsl(parts.query)


def sns_message(body: bytes) -> dict[str, str]:
    """The fields of a message that are strings; SNS signs no others.

    :raises VerificationFailed: the body is not a JSON object
    """
    try:
        message = json_text.parse(body.decode())
    except (UnicodeDecodeError, json_text.JsonRefused):
        raise VerificationFailed("The body is not JSON.") from None
    if not isinstance(message, dict):
        raise VerificationFailed("The body is not a JSON object.")
    return {name: value for name, value in message.items() if isinstance(value, str)}


def is_certificate_url(url: str) -> bool:
    """Whether a URL is that of a certificate that Amazon SNS signs with."""
    # Query and fragment excluded: the path of a certificate is all of its URL.
    return (
        is_sns_url(url)
        and url.endswith(urlsplit(url).path)
        and bool(_CERTIFICATE.fullmatch(urlsplit(url).path))
    )


def _first_certificate(message: dict[str, str], pems: Sequence[str], sent: datetime, where: str) -> int:
    digest = _DIGESTS.get(message.get("SignatureVersion", ""))
    if digest is None:
        raise VerificationFailed("SignatureVersion is neither 1 nor 2.")
    presented = from_base64(message.get("Signature", ""), "Signature (in the body)")
    names = SIGNED_FIELDS.get(message.get("Type", ""))
    if names is None:
        raise VerificationFailed("Type is not one that Amazon SNS sends.")
    # In the vendor's order, and only those that are there: Subject is optional.
    text = to_bytes("".join(f"{name}\n{message[name]}\n" for name in names if name in message))

    def verify(pem: str) -> None:
        certificate = x509.load_pem_x509_certificate(to_bytes(pem))
        # Against the time of the message, not now: a retry may come after the certificate's expiry.
        if not certificate.not_valid_before_utc <= sent <= certificate.not_valid_after_utc:
            raise ValueError("not valid when the message was sent")
        _rsa_key(certificate).verify(presented, text, padding.PKCS1v15(), digest)

    return first_key(pems, verify, where)


def _rsa_key(certificate: x509.Certificate) -> rsa.RSAPublicKey:
    public = certificate.public_key()
    if not isinstance(public, rsa.RSAPublicKey):
        raise ValueError("another kind of key")
    return public


def _sent_at(written: str) -> datetime:
    try:
        sent = datetime.fromisoformat(written.replace("Z", "+00:00"))
    except ValueError:
        raise VerificationFailed("Timestamp is not a time.") from None
    if sent.tzinfo is None or not 2000 <= sent.year < 2200:
        raise VerificationFailed("Timestamp has no time zone, or an impossible year.")
    return sent
