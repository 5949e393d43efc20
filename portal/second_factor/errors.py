"""What can go wrong with a second factor; the docstring is the message."""


class FactorError(Exception):
    """The second factor was not accepted."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or " ".join(str(self.__doc__).split()))


class WrongCode(FactorError):
    """This code is not right. Codes of an app change every 30 seconds; check the clock of your device."""


class UsedCode(FactorError):
    """This code was used already. Wait for the next one."""


class WrongPasskey(FactorError):
    """This passkey was not accepted. Try again, or use a code."""


class TooManyAttempts(FactorError):
    """Too many failed codes. Wait five minutes, then try again."""


class TooManyToday(FactorError):
    """Too many failed codes today. Ask an administrator to reset your second factor, or wait a day."""


class CannotCount(FactorError):
    """No code can be checked at the moment: the cache that counts failed attempts is out of reach."""


class CannotRead(FactorError):
    """Your second factor can't be read. Ask an administrator to reset it."""


class LastFactor(FactorError):
    """Your roles need a second factor: add another before you remove this one."""


class AlreadyThere(FactorError):
    """You have an authenticator app already: remove it before you add another."""
