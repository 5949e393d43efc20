class EmbeddedError(Exception):
    """An embedded server cannot be used. The message is one line: what, where, and how to mend it."""
