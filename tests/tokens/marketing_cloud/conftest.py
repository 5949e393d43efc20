"""A simulated account, and a client of it that waits for nothing."""

from collections.abc import Iterator

import pytest

from portal.simulator import Simulator, running
from portal.simulator.world import EID, DataExtension, Package, SmsSubscription, Subscriber
from tokens.marketing_cloud import ClientCredentials, Exchange, MarketingCloud, Patience, Tenant

IMPATIENT = Patience(attempts=3, first_wait=0.001, longest_wait=1, jitter=0)


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with running() as simulator:
        world = simulator.world
        world.extensions[EID, "people"] = DataExtension("People", EID, ("Id",), ("Id", "City"))
        for number in (1, 2, 3):
            key = f"SUB-{number}"
            world.subscribers[key] = Subscriber(key, f"token{number}@tok.example.net")
        world.sms.append(SmsSubscription("199991111222233", "SUB-1"))
        yield simulator


@pytest.fixture
def tenant(simulator: Simulator) -> Tenant:
    return Tenant(simulator.world.subdomain, simulator.hosts)


@pytest.fixture
def package(simulator: Simulator) -> Package:
    return simulator.world.add_package()


@pytest.fixture
def told() -> list[Exchange]:
    """Every exchange that the observer of `cloud` was told of."""
    return []


@pytest.fixture
def cloud(tenant: Tenant, package: Package, told: list[Exchange]) -> Iterator[MarketingCloud]:
    grant = ClientCredentials(package.client_id, package.client_secret)
    with MarketingCloud(tenant, grant, observe=told.append, patience=IMPATIENT) as cloud:
        yield cloud
