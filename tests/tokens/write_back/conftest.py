"""Acme's account in the simulator, with a connection that is in use, and Ana, who is a subscriber there."""

from tests.tokens.connections.conftest import acme, connection, package, shop, simulator

__all__ = ["acme", "connection", "package", "shop", "simulator"]
