"""A simulated account with a data extension, two people and a package."""

from collections.abc import Iterator

import pytest

from portal.simulator import Simulator, running
from portal.simulator.world import EID, DataExtension, Package, SmsSubscription, Subscriber


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with running() as simulator:
        world = simulator.world
        world.extensions[EID, "people"] = DataExtension("People", EID, ("Id",), ("Id", "City"))
        for number in (1, 2):
            key = f"SUB-{number}"
            world.subscribers[key] = Subscriber(key, f"token{number}@tok.example.net")
        world.sms.append(SmsSubscription("199991111222233", "SUB-1"))
        yield simulator


@pytest.fixture
def package(simulator: Simulator) -> Package:
    return simulator.world.add_package()
