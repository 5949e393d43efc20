"""Why Marketing Cloud could not be asked, or refused. The docstring is the message: what happened, and how to mend it.

No message holds a value that was sent: not a secret, a token, a subscriber key or a cell of a row. Of Marketing Cloud's
own words only its number for the reason is kept, since a sentence of it can repeat what was sent.
"""


class MarketingCloudError(Exception):
    """Marketing Cloud could not do what was asked."""

    def __init__(self, where: str = "", detail: str = "") -> None:
        self.where = where
        message = " ".join((self.__doc__ or "").split())
        said = f"{message} ({detail})" if detail else message
        super().__init__(f"{where}: {said}" if where else said)


# -- how it was set up -----------------------------------------------------------------------------------------
class BadSubdomain(MarketingCloudError):
    """That is no tenant's sub-domain: copy the 28 characters that begin with "mc" from the package's base addresses."""


class BadHosts(MarketingCloudError):
    """The addresses of Marketing Cloud must begin with https:// (a simulator on this machine may do without)."""


class BadKey(MarketingCloudError):
    """The private key can't sign: give an RSA key in PEM."""


# -- nobody answered -------------------------------------------------------------------------------------------
class Unreachable(MarketingCloudError):
    """Marketing Cloud could not be reached: check that this server may connect to it on port 443."""


class NameUnknown(Unreachable):
    """The name of the host is not known: check the sub-domain, and that this server can resolve public names."""


class TlsFailed(Unreachable):
    """No trusted TLS connection came about: check the clock, the certificates, and any proxy that opens TLS."""


class TimedOut(Unreachable):
    """Marketing Cloud did not answer in time: it is tried again; if it stays, look at its status page."""


class Interrupted(Unreachable):
    """The connection was lost before the answer: whether it was done is not known."""


# -- who we are ------------------------------------------------------------------------------------------------
class AccessRefused(MarketingCloudError):
    """Marketing Cloud gave no access token."""


class CredentialsRefused(AccessRefused):
    """The client id or its secret is wrong, or the package was deleted: compare both with the installed package."""


class GrantRefused(AccessRefused):
    """The code, refresh token or assertion is not valid (any more): sign in again, or compare the certificate."""


class ScopeNotGranted(AccessRefused):
    """A scope that was asked for is not granted to the package: add it there, and install the package again."""


class RequestRefused(AccessRefused):
    """The token request was refused: check that the package may act for this business unit (MID)."""


class TokenRefused(MarketingCloudError):
    """The access token was refused, a new one too: check that the user of the package is active."""


class MissingScope(MarketingCloudError):
    """The package lacks the scope that is named: add it under the package's API integration."""

    def __init__(self, where: str, scope: str) -> None:
        self.scope = scope
        super().__init__(where, scope or "see the package")


# -- what was asked --------------------------------------------------------------------------------------------
class NotThere(MarketingCloudError):
    """Nothing is at that address: mostly the sub-domain is another tenant's, or the external key is misspelt."""


class CallRefused(MarketingCloudError):
    """Marketing Cloud refused the call as it was made."""

    def __init__(self, where: str, status: int, code: int) -> None:
        self.status = status
        self.code = code
        super().__init__(where, f"HTTP {status}, error {code}" if code else f"HTTP {status}")


class ObjectRefused(MarketingCloudError):
    """Marketing Cloud refused the object of a SOAP call."""

    def __init__(self, where: str, code: int) -> None:
        self.code = code
        super().__init__(where, f"error {code}")


class TooMuch(MarketingCloudError):
    """More was given than one call takes: split it."""


# -- later -----------------------------------------------------------------------------------------------------
class TooManyCalls(MarketingCloudError):
    """Marketing Cloud asks for fewer calls: it is tried again after the wait that it names."""

    def __init__(self, where: str, retry_after: float | None) -> None:
        self.retry_after = retry_after
        super().__init__(where, "" if retry_after is None else f"in {retry_after:g} s")


class ServerFailed(MarketingCloudError):
    """Marketing Cloud failed: it is tried again; if it stays, look at its status page."""

    def __init__(self, where: str, status: int) -> None:
        self.status = status
        super().__init__(where, f"HTTP {status}")


class UnreadableAnswer(MarketingCloudError):
    """The answer is not what Marketing Cloud answers: check that no proxy or portal answers in its place."""
