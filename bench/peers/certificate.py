"""A certificate for the servers that are compared with TLS, which is made once and is the same for all of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bench.native import BUILD

DAY = timedelta(days=1)


class Certificate(NamedTuple):
    """Files in PEM: the certificate, and its key."""

    chain: Path
    key: Path


@cache
def certificate() -> Certificate:
    """Make a certificate that signs itself, on the curve P-256, and return its files."""
    BUILD.mkdir(exist_ok=True)
    files = Certificate(BUILD / "server.pem", BUILD / "server.key")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(issuer_name=name, subject_name=name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - DAY)
        .not_valid_after(now + DAY)
        .sign(key, hashes.SHA256())
    )
    files.chain.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    files.key.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files
