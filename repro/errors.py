"""The error that every program of this package reports to its user."""


class ReproError(Exception):
    """A record that cannot be trusted: the message names file, line or key, what was found and expected.

    Programs print it after ``error:`` on standard error and end with exit code 2.
    """
