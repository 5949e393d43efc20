"""Access tokens: every grant, renewal, and what is said when there is none."""

import subprocess
import sys
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from portal.simulator import Simulator
from portal.simulator.world import CHILD, Package
from tests.tokens.marketing_cloud.conftest import IMPATIENT
from tokens.marketing_cloud import (
    AuthorizationCode,
    ClientCredentials,
    Exchange,
    JwtBearer,
    MarketingCloud,
    RefreshToken,
    Tenant,
)
from tokens.marketing_cloud.access import core_access
from tokens.marketing_cloud.errors import (
    BadHosts,
    BadKey,
    BadSubdomain,
    CredentialsRefused,
    GrantRefused,
    MissingScope,
    NameUnknown,
    NotThere,
    RequestRefused,
    ScopeNotGranted,
    TokenRefused,
)
from tokens.marketing_cloud.grants import begin_sign_in
from tokens.marketing_cloud.tenant import Api, subdomain_in
from tokens.marketing_cloud.transport import ignore


def client(tenant: Tenant, grant: Any, **more: Any) -> MarketingCloud:
    return MarketingCloud(tenant, grant, observe=ignore, patience=IMPATIENT, **more)


def token_requests(simulator: Simulator) -> int:
    return sum(call["path"].endswith("/v2/token") for call in simulator.world.journal)


def test_a_token_serves_many_calls_and_is_renewed_before_it_ends(
    simulator: Simulator, cloud: MarketingCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.whom()
    cloud.whom()
    assert token_requests(simulator) == 1
    now = cloud.caller.access.token().renew_at
    monkeypatch.setattr("tokens.marketing_cloud.access.time.monotonic", lambda: now)
    cloud.whom()
    assert token_requests(simulator) == 2
    assert all(call["status"] == 200 for call in simulator.world.journal)


def test_a_token_that_is_refused_is_renewed_once_for_rest_and_for_soap(
    simulator: Simulator, cloud: MarketingCloud
) -> None:
    cloud.whom()
    simulator.world.expire_tokens()
    cloud.whom()
    simulator.world.expire_tokens()
    cloud.subscribers.statuses(["SUB-1"])
    assert token_requests(simulator) == 3
    simulator.faults.plan(kind="status", status=401, path="userinfo", times=9)
    with pytest.raises(TokenRefused, match="REST userinfo"):
        cloud.whom()
    assert token_requests(simulator) == 4


def test_each_business_unit_has_a_client_of_its_own(tenant: Tenant, package: Package) -> None:
    grant = ClientCredentials(package.client_id, package.client_secret, account_id=CHILD)
    with client(tenant, grant) as cloud:
        assert cloud.whom().mid == CHILD


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"client_secret": "S3CRET-of-nobody"}, CredentialsRefused),
        ({"account_id": "999"}, RequestRefused),
        ({"scopes": ["users_write"]}, ScopeNotGranted),
    ],
)
def test_what_is_wrong_with_the_credentials_is_named_without_them(
    tenant: Tenant, package: Package, change: dict[str, Any], error: type[Exception]
) -> None:
    said = {"client_id": package.client_id, "client_secret": package.client_secret, **change}
    with (
        client(tenant, ClientCredentials(**said)) as cloud,
        pytest.raises(error, match="AUTH token") as refused,
    ):
        cloud.whom()
    assert said["client_secret"] not in str(refused.value)
    assert said["client_secret"] not in repr(cloud.caller.access)


def test_the_missing_scope_is_named(simulator: Simulator, tenant: Tenant) -> None:
    package = simulator.world.add_package(scopes=frozenset(["data_extensions_read"]))
    grant = ClientCredentials(package.client_id, package.client_secret)
    with client(tenant, grant) as cloud:
        with pytest.raises(MissingScope, match="data_extensions_write"):
            cloud.data_extensions.upsert("People", [({"Id": "1"}, {})])
        with pytest.raises(MissingScope, match="list_and_subscribers_read"):
            cloud.subscribers.statuses(["SUB-1"])


def test_another_tenants_sub_domain_is_pointed_to(tenant: Tenant, package: Package) -> None:
    grant = ClientCredentials(package.client_id, package.client_secret)
    with (
        client(Tenant("mc" + "x" * 26, tenant.hosts), grant) as cloud,
        pytest.raises(NotThere, match="sub-domain"),
    ):
        cloud.whom()


def test_a_name_that_does_not_resolve_is_told_apart(package: Package) -> None:
    nowhere = Tenant("mc" + "x" * 26, "https://{subdomain}.{api}.marketing-cloud.invalid")
    grant = ClientCredentials(package.client_id, package.client_secret)
    with client(nowhere, grant) as cloud, pytest.raises(NameUnknown):
        cloud.whom()


def test_a_user_signs_in_with_pkce_and_goes_on_with_refresh_tokens(
    simulator: Simulator, tenant: Tenant
) -> None:
    here = "https://portal.example/callback"
    app = simulator.world.add_package(kind="web", redirect_uris=(here,))
    sign_in = begin_sign_in(tenant, app.client_id, here, ["offline", "data_extensions_read"])
    with httpx2.Client(trust_env=False, timeout=60) as browser:
        answer = parse_qs(urlsplit(browser.get(sign_in.url).headers["Location"]).query)
    assert (answer["state"], answer["tssd"]) == ([sign_in.state], [tenant.subdomain])
    (code,) = answer["code"]

    kept: list[str] = []
    stolen = AuthorizationCode(app.client_id, code, here, "not the verifier" * 3, app.client_secret)
    with client(tenant, stolen) as thief, pytest.raises(GrantRefused):
        thief.whom()
    with httpx2.Client(trust_env=False, timeout=60) as browser:
        answer = parse_qs(urlsplit(browser.get(sign_in.url).headers["Location"]).query)
    grant = AuthorizationCode(
        app.client_id, answer["code"][0], here, sign_in.code_verifier, app.client_secret
    )
    with client(tenant, grant, keep_refresh_token=kept.append) as cloud:
        assert cloud.whom().scopes == {"offline", "data_extensions_read"}
        simulator.world.expire_tokens()
        cloud.whom()
    assert len(kept) == 2
    with client(tenant, RefreshToken(app.client_id, kept[-1], app.client_secret)) as later:
        later.whom()
    with client(tenant, RefreshToken(app.client_id, kept[-1], app.client_secret)) as again:
        with pytest.raises(GrantRefused):
            again.whom()


@pytest.fixture(scope="module")
def key_pair() -> tuple[str, str]:
    """(private, public) RSA keys in PEM."""
    key = rsa.generate_private_key(65537, 2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private.decode(), public.decode()


def test_an_assertion_that_we_sign_opens_the_tenant_and_a_core_org(
    simulator: Simulator, tenant: Tenant, key_pair: tuple[str, str]
) -> None:
    private, public = key_pair
    package = simulator.world.add_package(public_key=public)
    grant = JwtBearer(package.client_id, "user@example.com", tenant.url(Api.AUTH), private)
    assert private not in repr(grant)
    with client(tenant, grant) as cloud:
        assert cloud.whom().scopes
        simulator.world.expire_tokens()
        cloud.whom()  # with a new assertion: each is good once
        core = core_access(cloud.caller.transport, simulator.origin, grant)
    assert core.instance_url == simulator.origin


def test_an_assertion_of_another_key_is_refused(
    simulator: Simulator, tenant: Tenant, key_pair: tuple[str, str]
) -> None:
    other = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    package = simulator.world.add_package(public_key=key_pair[1])
    grant = JwtBearer(package.client_id, "user@example.com", tenant.url(Api.AUTH), other.decode())
    with client(tenant, grant) as cloud, pytest.raises(GrantRefused, match="certificate"):
        cloud.whom()
    with pytest.raises(BadKey):
        JwtBearer("a", "b", "c", "no key").assertion()


def test_a_lost_answer_does_not_send_again_what_is_good_once(simulator: Simulator, tenant: Tenant) -> None:
    app = simulator.world.add_package(kind="web")
    simulator.faults.plan(kind="reset-after", path="/v2/token", times=9)
    with client(tenant, RefreshToken(app.client_id, "once", app.client_secret)) as cloud:
        with pytest.raises(Exception, match="whether it was done is not known"):
            cloud.whom()
    assert token_requests(simulator) == 1


def test_sub_domains_are_checked_and_taken_out_of_what_is_pasted() -> None:
    name = "mc" + "a1-" * 8 + "zz"
    assert subdomain_in(f" https://{name.upper()}.rest.marketingcloudapis.com/ ") == name
    for wrong in (
        "",
        "mcshort",
        f"https://{name}.auth.evil.example/",
        f"{name}.auth.marketingcloudapis.com.evil",
    ):
        with pytest.raises(BadSubdomain):
            subdomain_in(wrong)
    with pytest.raises(BadSubdomain):
        Tenant("mc/../../etc" + "x" * 16)
    with pytest.raises(BadHosts):
        Tenant(name, "http://{subdomain}.{api}.marketingcloudapis.com")


@pytest.mark.parametrize(
    ("said", "taken"),
    [
        (None, False),
        ("https://mcother.rest.marketingcloudapis.com/", True),
        ("mcother.rest.marketingcloudapis.com", True),
        ("http://mcother.rest.marketingcloudapis.com/", False),
        ("https://mcother.rest.marketingcloudapis.com.evil.example/", False),
        ("https://evil.example/", False),
    ],
)
def test_a_bearer_token_goes_to_hosts_of_marketing_cloud_only(said: str | None, taken: bool) -> None:
    tenant = Tenant("mc" + "x" * 26)
    own = f"https://mc{'x' * 26}.rest.marketingcloudapis.com"
    expected = "https://mcother.rest.marketingcloudapis.com" if taken else own
    # The domain that counts is the one of the API: rest.marketingcloudapis.com.
    assert tenant.instance(Api.REST, said) == expected


def test_nothing_secret_is_told_to_the_observer(
    simulator: Simulator, cloud: MarketingCloud, package: Package, told: list[Exchange]
) -> None:
    cloud.subscribers.statuses(["SUB-1"])
    cloud.data_extensions.upsert("People", [({"Id": "1"}, {"City": "Bonn"})])
    bearer = cloud.caller.access.token().value
    assert [(one.verb, one.status) for one in told] == [("token", 200), ("Retrieve", 200), ("upsert", 200)]
    assert (told[0].request, told[0].response) == (None, None)
    assert b"SUB-1" in (told[1].request or b"")
    assert b"Bonn" in (told[2].request or b"")
    everything = b"".join((one.request or b"") + (one.response or b"") for one in told) + repr(told).encode()
    for secret in (bearer, package.client_secret):
        assert secret.encode() not in everything


def test_an_exchange_that_cannot_be_logged_is_not_used(tenant: Tenant, package: Package) -> None:
    def refuse(exchange: Exchange) -> None:
        raise RuntimeError("the log is away")

    grant = ClientCredentials(package.client_id, package.client_secret)
    with MarketingCloud(tenant, grant, observe=refuse, patience=IMPATIENT) as cloud:
        with pytest.raises(RuntimeError, match="the log is away"):
            cloud.whom()


def test_a_proxy_of_the_environment_is_not_asked_for_what_is_on_this_machine(
    tenant: Tenant, package: Package, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with client(tenant, ClientCredentials(package.client_id, package.client_secret)) as cloud:
        assert cloud.whom().scopes


def test_the_client_needs_no_django() -> None:
    said = "import sys, tokens.marketing_cloud; sys.exit('django' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", said], check=False).returncode == 0
