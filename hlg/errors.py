"""Exceptions that a program turns into one line on standard error and an exit code; the parser of command lines."""

import argparse
import os
import re
from typing import Any, NoReturn

from hlg.console import say


def _in_typed_words(message: str) -> str:
    """Name each option as its user typed it, who may have typed a variable of make.

    docker/start.sh says in ``HLG_TYPED_AS`` what it made of which, such as ``--archives=ARCHIVES --seed=seed``.
    """
    typed = dict(pair.partition("=")[::2] for pair in os.environ.get("HLG_TYPED_AS", "").split())
    names = re.compile("^[a-z0-9_]+(?=[:= ])|--[a-z][a-z0-9_-]*")  # a key at the start, an option anywhere
    return names.sub(lambda name: typed.get("--" + name[0].lstrip("-"), name[0]), message)


class UserError(Exception):
    """Bad input: the message names the file, key or line, what was found and what to do. Exit code 2."""

    exit_code = 2

    def __str__(self) -> str:
        return _in_typed_words(super().__str__())


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


class OptionParser(argparse.ArgumentParser):
    """A parser whose errors name what was typed, an option or a variable of make, and whose words any console shows."""

    def _print_message(self, message: str, file: Any = None) -> None:
        say(message.removesuffix("\n"), file=file)

    def error(self, message: str) -> NoReturn:
        """End the program with the message."""
        super().error(_in_typed_words(message))
