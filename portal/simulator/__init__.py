"""A Marketing Cloud to try things with, and to test against: auth, REST and SOAP of one account, in memory.

It is written from the public contract (docs/marketing-cloud-simulator.md says what of it is only assumed), and knows
neither Django nor the vault nor our own client, so that a wrong reading in one can't hide in another. Salesforce's
client library for Python and the one that most people use in Node prove it right.
"""

from portal.simulator.server import Simulator, running
from portal.simulator.world import World

__all__ = ["Simulator", "World", "running"]
