"""Print text that names files and devices: on any terminal, and with nothing in it that a terminal would act on.

A terminal that is closed, or a pipe that nobody reads any more, is no reason to fail: the work goes on unseen.
"""

import errno
import os
import re
import sys
from functools import cache
from typing import TextIO

# A backslash that stands where an escape could begin, so that what was escaped can be told from what looks like it.
_AMBIGUOUS = re.compile(r"\\(?=[\\xuUnrt]|[^ -~]|$)")


def escaped(text: object, keep: str = "") -> str:
    r"""Escape every character that is not shown as itself, such as \n, \x1b, \u202e, \udcff (a byte that is no UTF-8).

    The characters in ``keep`` stay. What is escaped already stays as it is.
    """
    return "".join(sign if sign.isprintable() or sign in keep else ascii(sign)[1:-1] for sign in str(text))


def printable(name: object) -> str:
    r"""Escape a name from a disk so that the name can be read back: a backslash that could begin an escape is \\."""
    return escaped(_AMBIGUOUS.sub(r"\\\\", str(name)))


def say(*texts: object, file: TextIO | None = None) -> None:
    """Print texts of one or more lines, below each other; characters that the stream does not have are escaped too."""
    file = file or sys.stdout
    encoding = getattr(file, "encoding", None) or "utf-8"
    lines = "\n".join(escaped(text, keep="\n") for text in texts)
    try:
        print(lines.encode(encoding, "backslashreplace").decode(encoding), file=file, flush=True)
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), file.fileno())
        if error.errno not in (errno.EPIPE, errno.EIO):  # somebody may miss it, for instance on a full disk
            note_once(f"{file.name}: can't be written ({error.strerror}), so what is printed there is lost")


def say_error(error: object) -> None:
    """Print what went wrong as one line on standard error."""
    say(f"error: {escaped(error)}", file=sys.stderr)


@cache
def note_once(text: str) -> None:
    """Tell the user once in this process what goes differently here."""
    say(f"note: {text}", file=sys.stderr)
