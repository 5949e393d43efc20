"""What an SFTP server does not let happen. The docstring is the message and says how to mend it.

No secret stands in one of them, and nothing that the server said: who made its words up, nobody knows.
"""


class TransferError(Exception):
    """The SFTP server can't be worked with."""

    def __init__(self, detail: str = "") -> None:
        message = " ".join((self.__doc__ or "").split())
        super().__init__(f"{message} ({detail})" if detail else message)


class NameUnknown(TransferError):
    """No address is known for the name of the host: check it for a slip."""


class Unreachable(TransferError):
    """Nothing answers at that host and port: check both, and whether a firewall lets this portal through."""


class HandshakeFailed(TransferError):
    """What answers at that port and the portal found no common SSH: it is no SFTP server, it speaks old algorithms
    only, or it no longer has a host key of the pinned kind."""


class HostKeyChanged(TransferError):
    """The server has another host key than the one that is pinned, so nothing was sent to it. Ask who runs the server
    whether the key was changed, compare the fingerprint, and pin the new one."""


class BadHostKey(TransferError):
    """That is no host key: paste the line of known_hosts or of the .pub file, such as ssh-ed25519 AAAA…"""


class SignInRefused(TransferError):
    """The server does not let this user in: compare user name and password, or add the portal's public key to it."""


class FolderMissing(TransferError):
    """There is no such folder on the server for this user: check how it is spelled."""


class FolderForbidden(TransferError):
    """This user may not read the folder: have the server allow it."""


class FolderTooFull(TransferError):
    """The folder has too many files to look through: have old ones moved away."""


class FileMissing(TransferError):
    """The file is no longer there, or may not be read by this user."""


class FileTooLarge(TransferError):
    """The file is larger than an extract may be: export it in parts."""


class FileChanged(TransferError):
    """The file was changed while it was read: it is read again when it is steady."""


class Cut(TransferError):
    """The server ended the connection in the middle, or refused what it was asked; it is tried again."""


class TooSlow(TransferError):
    """The server did not answer in time; it is tried again."""
