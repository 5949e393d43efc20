"""The key that signs assertions to Marketing Cloud and Salesforce, and its certificate (JWT bearer flow)."""

import datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from django.utils import timezone

BITS: Final = 3072
LIFETIME: Final = datetime.timedelta(days=730)
_LONGEST_NAME: Final = 64  # of X.520


def make_signing_key(name: str) -> tuple[str, str]:
    """(private key, self-signed certificate for two years), RSA in PEM. Nobody checks who signed the certificate."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=BITS)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:_LONGEST_NAME])])
    now = timezone.now()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + LIFETIME)
        .sign(key, SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private.decode(), certificate.public_bytes(Encoding.PEM).decode()


def ends_at(certificate: str) -> datetime.datetime:
    """When a certificate in PEM is no longer good."""
    return x509.load_pem_x509_certificate(certificate.encode()).not_valid_after_utc
