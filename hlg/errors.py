"""Exceptions that a program turns into one line on standard error and an exit code."""


class UserError(Exception):
    """Bad input: the message names the file, key or line, what was found and what to do. Exit code 2."""

    exit_code = 2


class DivergedError(UserError):
    """Training diverged: the message names step, learning rate and what to try. Exit code 3."""

    exit_code = 3


class LostRankError(UserError):
    """A rank is gone or no longer answers. Exit code 1."""

    exit_code = 1


class StoppedError(Exception):
    """A signal ended the work between two steps: the message names it, what was saved and how to resume.

    Exit code 75 (EX_TEMPFAIL of sysexits.h: try again) after SIGTERM with the state saved, else 128 + the signal.
    """

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


RESUME_ME = 75  # the exit code of a run whose state is saved
