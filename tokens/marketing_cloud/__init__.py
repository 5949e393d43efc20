"""A client of Marketing Cloud's APIs for one business unit, and a stranger to Django.

Who makes one hands in what it needs: the tenant, a grant with its secrets (sealed and opened by the caller), and an
observer to which every exchange is told. Access tokens live in memory only.

    cloud = MarketingCloud(Tenant("mc…"), ClientCredentials(client_id, secret, account_id="7000002"), observe=log)
    cloud.subscribers.unsubscribe("SUB-001", reason="STOP that got no token")

Every error is a `MarketingCloudError` that says what happened, where, and how to mend it.
"""

from tokens.marketing_cloud.caller import Caller, Patience
from tokens.marketing_cloud.client import MarketingCloud
from tokens.marketing_cloud.errors import MarketingCloudError
from tokens.marketing_cloud.grants import AuthorizationCode, ClientCredentials, JwtBearer, RefreshToken
from tokens.marketing_cloud.tenant import Tenant
from tokens.marketing_cloud.transport import Exchange

__all__ = [
    "AuthorizationCode",
    "Caller",
    "ClientCredentials",
    "Exchange",
    "JwtBearer",
    "MarketingCloud",
    "MarketingCloudError",
    "Patience",
    "RefreshToken",
    "Tenant",
]
