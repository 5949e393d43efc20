"""The web server itself: over plain HTTP, and over TLS of 1.2 and newer."""

import socket
import ssl
import urllib.request
import warnings
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
import trustme

from tests import serving
from tests.conftest import OwnDatabase

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def tls_server(
    shared_database: OwnDatabase, tmp_path_factory: pytest.TempPathFactory, authority: trustme.CA
) -> Iterator[serving.Server]:
    tmp_path = tmp_path_factory.mktemp("tls")
    certificate = authority.issue_cert("127.0.0.1")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    files = {"TLS_CERT": str(tmp_path / "cert.pem"), "TLS_KEY": str(tmp_path / "key.pem")}
    server = serving.Server(shared_database.environment | files)
    server.wait_until_served()
    yield server
    server.stop()


def shake_hands(server: serving.Server, authority: trustme.CA, version: ssl.TLSVersion) -> str | None:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")  # or our own side would refuse the old versions
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        context.minimum_version = context.maximum_version = version
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), timeout=60) as plain:
        with context.wrap_socket(plain, server_hostname=address.hostname) as secured:
            return secured.version()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_1_2_and_1_3_are_spoken(
    tls_server: serving.Server, authority: trustme.CA, version: ssl.TLSVersion
) -> None:
    assert shake_hands(tls_server, authority, version) == version.name.replace("_", ".")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_older_versions_are_refused(
    tls_server: serving.Server, authority: trustme.CA, version: ssl.TLSVersion
) -> None:
    with pytest.raises(ssl.SSLError, match=r"(?i)alert protocol version"):
        shake_hands(tls_server, authority, version)


def test_plain_http_is_served_without_a_certificate(portal_server: serving.Server) -> None:
    with urllib.request.urlopen(f"{portal_server.url}/healthz") as answer:  # noqa: S310 - our own address
        assert answer.status == 200


def test_no_access_log_is_written(own_database: OwnDatabase) -> None:
    server = serving.Server(own_database.environment)
    server.wait_until_served()
    serving.answers(f"{server.url}/a-path-that-must-not-be-logged")
    server.stop()
    assert "a-path-that-must-not-be-logged" not in server.log
