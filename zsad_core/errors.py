"""Errors whose text is meant for the user: what is wrong, in which file and row, and what to do."""


class ZsadError(Exception):
    """The work cannot be done as asked; the message alone is shown and the exit status is 1."""


class UsageError(ZsadError):
    """The call itself is wrong (unknown name, options that exclude each other); the exit status is 2."""
