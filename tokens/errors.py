"""What the vault refuses, and why. The docstring is the message and says how to mend it; none holds a clear value."""


class VaultError(Exception):
    """The vault refused an act."""

    def __init__(self, detail: str = "") -> None:
        message = " ".join((self.__doc__ or "").split())
        super().__init__(f"{message} ({detail})" if detail else message)


class NotUnique(VaultError):
    """Something of that name is there already: choose another, or change the one that exists."""


class BadEnterprise(VaultError):
    """An enterprise can't be made or changed so."""


class NoFreeToken(VaultError):
    """No free token was found: give this country longer mobile tokens."""


class BadSubscriberKey(VaultError):
    """A subscriber key has 1 to 254 characters without control characters."""


class IdentifierAsKey(BadSubscriberKey):
    """The subscriber key is itself an address or a number, which defeats tokenization: Marketing Cloud stores it.

    Use a key that names nobody, or leave the key out and let one be derived; an enterprise can also be set to
    accept such keys.
    """


class BadClient(VaultError):
    """An API client can't be made or changed so."""


class BadNetwork(BadClient):
    """That is no network: write a CIDR such as 203.0.113.0/24, or one address."""


class OpenClient(BadClient):
    """A client of a live enterprise begins with the networks that it may call from: give at least one, and not nearly
    the whole internet.

    Opening it to any address, or nearly any, takes the approval of a second person, afterwards, on the client's page.
    """


class ExemptClient(BadClient):
    """Opt-outs block a client of a live enterprise when it is made.

    Exempting it takes the approval of a second person, afterwards, on the client's page.
    """


class TwoSecretsLive(BadClient):
    """The client has two live secrets already: retire the one that is no longer used, then add another."""


class LastSecret(BadClient):
    """This is the client's last live secret: add another first, or switch the client off."""


class SecretRetired(BadClient):
    """That secret was retired before."""


class SmsFileError(VaultError):
    """Text-message opt-outs can't be handed over so."""


class NothingToHandOver(SmsFileError):
    """No open text-message opt-out has a token and a subscriber key: what is left is unsubscribed by hand."""


class SmsFileOvertaken(SmsFileError):
    """Somebody in the file consented anew since it was made: make another, which leaves them out."""


class SmsFileGone(SmsFileError):
    """The file has expired: make another, which has what is open by now."""


class BadConnection(VaultError):
    """A connection to Marketing Cloud can't be made, changed or used so."""


class NotInUse(BadConnection):
    """The connection is not in use: put it to use on its page, after its test has passed."""


class ChangedMeanwhile(BadConnection):
    """The connection was changed while it was tested, so the result says nothing of it: test it again."""


class NoConnection(BadConnection):
    """This enterprise has no connection to Marketing Cloud that serves the business unit: make one."""


class SecretMissing(BadConnection):
    """The connection lacks its client secret, or its signing key: enter or make it on the connection's page."""


class NotSignedIn(SecretMissing):
    """Nobody has signed in to Marketing Cloud for the connection yet: do so on the connection's page."""


class OtherTenant(BadConnection):
    """The user signed in to another tenant than the connection leads to: compare the sub-domain."""


class ScopeOfflineMissing(BadConnection):
    """The package gave no refresh token: add the scope offline to its API integration, and sign in again."""


class SimulatorInProduction(BadConnection):
    """A simulator serves sandboxes only, since what it answers proves nothing: take MARKETING_CLOUD_HOSTS away."""


class BadTransfer(VaultError):
    """Files can't be fetched by SFTP so."""


class TransferChanged(BadTransfer):
    """The server was changed while it was tested, so the result says nothing of it: test it again."""


class BadOptOut(VaultError):
    """An opt-out can't be recorded so."""


class AmbiguousNumber(BadOptOut):
    """The number can be read in two ways: write it with a plus and its country calling code."""


class UnknownToken(BadOptOut):
    """No such token was given out here, and nobody has an address on the token domain: check it for a slip."""


class SourceIdReused(BadOptOut):
    """The source sent this id before for somebody or something else: give each opt-out an id of its own."""


class BadOptIn(VaultError):
    """The opt-out can't be lifted so."""


class BadStep(VaultError):
    """The unsubscribe can't be moved so."""


class PackError(VaultError):
    """An access pack can't be taken."""


class PackExpired(PackError):
    """This access pack has expired: make another for the same case."""


class PackOfAnother(PackError):
    """Who asked for a pack in clear takes it, and nobody else: ask for one of your own."""


class ExportError(VaultError):
    """An export can't be taken."""


class FilterNamesAPerson(ExportError):
    """A filter of this export looks like an address or a number of a person, and no row has it: filters stay in the
    event trail. Find the person by search, and export from there."""


class ExportNotReady(ExportError):
    """There is no file to take now: it is being made, it failed, or it has expired."""


class ExportOfAnother(ExportError):
    """Who asked for an export in clear takes it, and nobody else: ask for one of your own."""


class ExportGone(ExportError):
    """The export expired while it was taken: the file is not whole, ask for another."""
