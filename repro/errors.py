"""What programs report to their user: the one error, and the parser of command lines."""

import argparse
import os
import re
from typing import NoReturn


def _in_typed_words(message: str) -> str:
    """Name each option as its user typed it, who may have typed a variable of make: ``HLG_TYPED_AS`` says which."""
    typed = dict(pair.partition("=")[::2] for pair in os.environ.get("HLG_TYPED_AS", "").split())
    names = re.compile("^[a-z_]+(?=[:= ])|--[a-z][a-z_-]*")  # a key at the start, an option anywhere
    return names.sub(lambda name: typed.get("--" + name[0].lstrip("-"), name[0]), message)


class ReproError(Exception):
    """A record or an option that cannot be used: the message names it, what was found and what is expected.

    Programs print it after ``error:`` on standard error and end with exit code 2.
    """

    def __str__(self) -> str:
        return _in_typed_words(super().__str__())


class CommandParser(argparse.ArgumentParser):
    """A parser whose errors name what was typed, an option or a variable of make."""

    def error(self, message: str) -> NoReturn:
        """End the program with the message."""
        super().error(_in_typed_words(message))
