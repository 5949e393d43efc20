"""An enterprise, its caller, and Ana: the cast of the API's tests."""

from tests.tokens.api.conftest import _fresh_allowlist, ana, caller, enterprise

__all__ = ["_fresh_allowlist", "ana", "caller", "enterprise"]
