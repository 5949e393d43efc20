"""What a bulk job refuses. The docstring is the message and says how to mend it; none holds a clear value."""


class BulkError(Exception):
    """The bulk job can't do that."""

    def __init__(self, detail: str = "") -> None:
        message = " ".join((self.__doc__ or "").split())
        super().__init__(f"{message} ({detail})" if detail else message)


# -- the file: mend it, then plan again ---------------------------------------------------------------------
class BadFile(BulkError):
    """The file can't be converted."""


class EmptyFile(BadFile):
    """The file is empty, or has a header and no rows."""


class NotText(BadFile):
    """The file is no CSV in UTF-8: unpack it, or save it as "CSV UTF-8"."""


class NotUtf8(BadFile):
    """The file is not UTF-8: save it as "CSV UTF-8" and plan again."""


class NulCharacter(BadFile):
    """The file holds NUL characters, so it is damaged or no text."""


class FieldTooLong(BadFile):
    """A field is longer than 131,072 characters: a closing quote is missing, or the file is no CSV."""


class RecordTooLong(BadFile):
    """A line or record is too long to be a row of contacts: line ends are missing, or the file is no CSV."""


class BadQuoting(BadFile):
    """A quoted field is not closed, or text follows its closing quote: quotes inside a field are doubled."""


class RaggedRow(BadFile):
    """A row has more or fewer fields than the header: quote fields that hold the delimiter, or name another one."""


class DuplicateColumn(BadFile):
    """The header names a column twice: rename one of them."""


class NoHeader(BadFile):
    """The first line looks like data: put the names of the columns into the first line."""


class UnknownColumn(BadFile):
    """The file has no column of that name."""


class KeysAreIdentifiers(BadFile):
    """The subscriber keys are addresses or numbers themselves, which defeats tokenization: Marketing Cloud stores
    them in the clear. Map a column of neutral keys, or say --derive-keys to have keys made from the mappings.
    """


# -- the request --------------------------------------------------------------------------------------------
class BadColumnMap(BulkError):
    """The columns can't be mapped so."""


class WrongState(BulkError):
    """The job is not in a state in which this can be done."""


class SlicesGone(BulkError):
    """The rows of this job were deleted after it was reconciled; its figures and rejects stay."""


# -- the work -----------------------------------------------------------------------------------------------
class LeaseLost(BulkError):
    """Another worker holds this chunk now: nothing was written."""


class UnsafeOutput(BulkError):
    """A cell that should hold a token does not match the strict pattern: nothing was written."""


class ErasedKeys(BulkError):
    """Rows name contacts that were erased: they are rejected, and the others converted again without them."""

    def __init__(self, keys: set[str]) -> None:
        super().__init__(f"{len(keys)} keys")
        self.keys = keys
