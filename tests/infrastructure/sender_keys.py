"""Secrets and private keys of a made-up sender, for each preset."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

SECRET = "whsec_" + base64.b64encode(b"a secret of a test, 32 bytes long").decode()


@dataclass(frozen=True)
class SenderKeys:
    """``secrets`` are stored with the webhook, ``variables`` are what its user exports in a shell."""

    secrets: dict[str, str]
    variables: dict[str, str]


def sender_keys(preset: Any, folder: Path) -> SenderKeys:
    """Keys that fit the preset's verification."""
    secrets, variables = {}, {}
    kinds = {scheme.get("purpose", "signing"): scheme["kind"] for scheme in preset.verification}
    for secret in preset.secrets:
        kind = kinds.get(secret.purpose, "header-key")
        suffix = "" if secret.purpose == "signing" else f"_{secret.purpose.upper()}"
        if kind in _PAIRS:
            private, secrets[secret.purpose] = _PAIRS[kind]()
            path = folder / f"{preset.name}.pem"
            path.write_bytes(_pem(private))
            variables[f"WEBHOOK_PRIVATE_KEY{suffix}"] = str(path)
        else:
            secrets[secret.purpose] = SECRET
            variables[f"WEBHOOK_SECRET{suffix}"] = SECRET
    return SenderKeys(secrets, variables)


def _ed25519() -> tuple[Any, str]:
    private = ed25519.Ed25519PrivateKey.generate()
    return private, private.public_key().public_bytes_raw().hex()


def _ecdsa() -> tuple[Any, str]:
    private = ec.generate_private_key(ec.SECP256R1())
    return private, base64.b64encode(_public(private, serialization.Encoding.DER)).decode()


def _rsa() -> tuple[Any, str]:
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return private, _public(private, serialization.Encoding.PEM).decode()


def _certificate() -> tuple[Any, str]:
    private, _ = _rsa()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    now = datetime.now(timezone.utc)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(private, hashes.SHA256())
    )
    return private, made.public_bytes(serialization.Encoding.PEM).decode()


_PAIRS = {"ed25519": _ed25519, "ecdsa": _ecdsa, "jwt": _rsa, "sns": _certificate}
"""Kind of verification -> a private key, and what the webhook stores of it."""


def _public(private: Any, encoding: serialization.Encoding) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return private.public_key().public_bytes(encoding, form)


def _pem(private: Any) -> bytes:
    no_password = serialization.NoEncryption()
    return private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, no_password)
