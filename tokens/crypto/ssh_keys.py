"""The key with which the portal signs in to an SFTP server."""

from typing import Final

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

# RSA, since Marketing Cloud's servers take it everywhere; signed with SHA-2.
BITS: Final = 3072


def make_ssh_key(comment: str) -> tuple[str, str]:
    """(private key in PEM, public key as a line of OpenSSH that ends with `comment`)."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=BITS)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return private.decode(), f"{public.decode()} {'-'.join(comment.split())}"
