"""What the queue refuses. The docstring is the message and says how to mend it; none holds a clear value."""


class QueueError(Exception):
    """The No Token Queue can't do that."""

    def __init__(self, detail: str = "") -> None:
        message = " ".join((self.__doc__ or "").split())
        super().__init__(f"{message} ({detail})" if detail else message)


# -- the file: nothing of it was taken over ----------------------------------------------------------------
class BadExtract(QueueError):
    """The file can't be read; nothing of it was taken over."""


class EmptyExtract(BadExtract):
    """The file is empty: even one without rows has a line with the names of the columns."""


class NotAnExtract(BadExtract):
    """The file is neither text nor an XLSX workbook: unpack it, or export it again as CSV, TSV or XLSX."""


class BadHeader(BadExtract):
    """The first line must name the columns, each by a name of its own."""


class WrongEncoding(BadExtract):
    """The file is not in the encoding that was said: choose another one, or export it as UTF-8."""


class TooLarge(BadExtract):
    """The file is too large: export it in parts."""


# -- what the columns hold ----------------------------------------------------------------------------------
class BadRecipe(QueueError):
    """The columns can't be read so."""


class MissingColumn(BadRecipe):
    """The file has no column of that name: choose another column, or another recipe."""


class NoRecipeFits(BadRecipe):
    """No saved recipe fits the columns of this file: say what they hold, and save that as a recipe."""


# -- what people do -----------------------------------------------------------------------------------------
class WrongState(QueueError):
    """Somebody has done that already, or it can't be done any more: load the page again."""


class ReasonMissing(QueueError):
    """Say why: the reason stands in the evidence."""


class SecondPersonNeeded(QueueError):
    """This message was scored a likely opt-out, so a second person confirms that it is none."""


class BadSettings(QueueError):
    """The queue can't be set so."""
