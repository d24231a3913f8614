"""The one error that programs report to their user."""


class ReproError(Exception):
    """A record or an option that cannot be used: the message names it, what was found and what is expected.

    Programs print it after ``error:`` on standard error and end with exit code 2.
    """
