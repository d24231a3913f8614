"""The exceptions that a program turns into one line on standard error and an exit code."""


class UserError(Exception):
    """Bad input: the message names the file, key or line, what was found and what to do. Exit code 2."""

    exit_code = 2


class DivergedError(UserError):
    """Training left the finite numbers: the message names step, learning rate and what to try. Exit code 3."""

    exit_code = 3
