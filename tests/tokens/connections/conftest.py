"""Acme has an account in the simulator, and a connection to it."""

from collections.abc import Iterator

import pytest

from portal.simulator import Simulator, World, running
from portal.simulator.world import Package, Subscriber
from tests.tokens.cast import IVAN, an_enterprise
from tokens.connections.verbs import create_connection
from tokens.enterprises import create_business_unit
from tokens.models import BusinessUnit, Connection, Enterprise


@pytest.fixture
def acme(db: None) -> Enterprise:
    return an_enterprise()


@pytest.fixture
def shop(acme: Enterprise) -> BusinessUnit:
    return create_business_unit(acme, mid="510000002", name="Shop", actor=IVAN)


@pytest.fixture
def simulator(acme: Enterprise, settings: object) -> Iterator[Simulator]:
    with running(world=World(units={acme.eid: "Acme", "510000002": "Shop"})) as simulator:
        simulator.world.subscribers["SUB-1"] = Subscriber("SUB-1", "token1@tok.example.net")
        settings.MARKETING_CLOUD_HOSTS = simulator.hosts  # type: ignore[attr-defined]
        yield simulator


@pytest.fixture
def package(simulator: Simulator) -> Package:
    return simulator.world.add_package()


@pytest.fixture
def connection(acme: Enterprise, simulator: Simulator, package: Package) -> Connection:
    return create_connection(
        acme,
        name="Acme, all units",
        subdomain=simulator.world.subdomain,
        client_id=package.client_id,
        client_secret=package.client_secret,
        actor=IVAN,
    )
