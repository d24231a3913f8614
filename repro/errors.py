"""How programs run: the one error that they report to their user, and how they print it and all else.

No terminal acts on what is printed. One that is closed, or a pipe that nobody reads any more, is no reason to fail.
`make doctor` uses it too, with whatever Python 3.8 or newer a machine has.
"""

from __future__ import annotations

import argparse
import errno
import os
import re
import signal
import sys
from collections.abc import Callable
from typing import Any, NoReturn, TextIO

# A backslash that stands where an escape could begin, so that what was escaped can be told from what looks like it.
_AMBIGUOUS = re.compile(r"\\(?=[\\xuUnrt]|[^ -~]|$)")


def _in_typed_words(message: str) -> str:
    """Name each option as its user typed it, who may have typed a variable of make: ``HLG_TYPED_AS`` says which."""
    typed = dict(pair.partition("=")[::2] for pair in os.environ.get("HLG_TYPED_AS", "").split())
    names = re.compile("^[a-z0-9_]+(?=[:= ])|--[a-z][a-z0-9_-]*")  # a key at the start, an option anywhere
    return names.sub(lambda name: typed.get("--" + name[0].lstrip("-"), name[0]), message)


class ReproError(Exception):
    """A record or an option that cannot be used: the message names it, what was found and what is expected.

    Programs print it after ``error:`` on standard error and end with exit code 2.
    """

    def __str__(self) -> str:
        return _in_typed_words(super().__str__())


class CommandParser(argparse.ArgumentParser):
    """A parser whose errors name what was typed, an option or a variable of make, and whose words any console shows."""

    def _print_message(self, message: str, file: Any = None) -> None:
        tell(message.removesuffix("\n"), file=file)

    def error(self, message: str) -> NoReturn:
        """End the program with the message."""
        super().error(_in_typed_words(message))


def shown(text: object, keep: str = "") -> str:
    r"""Escape every character that is not shown as itself, such as \n, \x1b, \u202e, \udcff (a byte that is no UTF-8).

    The characters in `keep` stay. What is escaped already stays as it is.
    """
    return "".join(sign if sign.isprintable() or sign in keep else ascii(sign)[1:-1] for sign in str(text))


def shown_name(text: object) -> str:
    r"""Put a text from a record on one line that can be read back: a backslash that could begin an escape is \\."""
    return shown(_AMBIGUOUS.sub(r"\\\\", " ".join(str(text).split())))


def put(lines: str, file: TextIO | None = None) -> None:
    """Print lines as they are, but for characters that the stream does not have."""
    file = file or sys.stdout
    encoding = getattr(file, "encoding", None) or "utf-8"
    try:
        print(lines.encode(encoding, "backslashreplace").decode(encoding), file=file, flush=True)
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), file.fileno())
        if error.errno not in (errno.EPIPE, errno.EIO):  # somebody may miss it, for instance on a full disk
            tell_error(f"{file.name}: can't be written ({error.strerror}), so what is printed there is lost")


def tell(*texts: object, file: TextIO | None = None) -> None:
    """Print texts of one or more lines, below each other."""
    put("\n".join(shown(text, keep="\n") for text in texts), file)


def tell_error(error: object) -> None:
    """Print what went wrong as one line on standard error."""
    tell(f"error: {shown(error)}", file=sys.stderr)


def resumable(work: Callable[[], int], kept: str) -> int:
    """Run work that the next call resumes, and return its exit code; `kept` says what an early end does not lose.

    A ReproError or a full disk ends it with 2, Ctrl-C with 130, SIGTERM with 143; either lets what it started end too.
    """

    asked: list[int] = []

    def stop(number: int, _: object) -> NoReturn:
        asked.append(number)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        return work()
    except ReproError as error:
        tell_error(error)
        return 2
    except OSError as error:
        tell_error(f"{error.filename or 'a program'}: {error.strerror}; {kept}")
        return 2
    except KeyboardInterrupt:
        tell(f"stopped by {'SIGTERM' if asked else 'Ctrl-C'}: {kept}", file=sys.stderr)
        return 128 + (asked[0] if asked else signal.SIGINT)
    finally:
        signal.signal(signal.SIGTERM, before)


def run_tool(main: Callable[[], int]) -> NoReturn:
    """Run a program and end the process with its exit code; Ctrl-C ends it with one line and 130."""
    asked = []

    def stop(*_: object) -> None:
        asked.append(True)
        raise KeyboardInterrupt

    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as behind the & of a script
        signal.signal(signal.SIGINT, stop)
    try:
        code = main()
    except (KeyboardInterrupt, ImportError):  # the import of a C extension makes the second of the first
        if not asked:
            raise
        tell("stopped by Ctrl-C", file=sys.stderr)
        code = 128 + signal.SIGINT
    sys.exit(code)
