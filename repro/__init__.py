"""Logs, published figures, comparison and report. Never imports MindSpore or hlg."""

import os
import signal
import sys


def _end(*_: object) -> None:
    program = sys.modules["__main__"].__spec__  # None as long as it is looked for
    if program and not program.name.startswith("repro."):
        raise KeyboardInterrupt  # it is another one, and only imports this
    os.write(2, b"stopped by Ctrl-C before it began\n")
    os._exit(128 + signal.SIGINT)


# A program, of which `python -m` has not begun the imports: Ctrl-C would be an error of whatever is being imported.
# repro.errors takes over.
if sys.argv[:1] == ["-m"] and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, _end)
