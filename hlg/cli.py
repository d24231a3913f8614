"""Run a program: load its configuration, and turn every mistake into one line and an exit code."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from hlg.config import Config, load
from hlg.console import say, say_error
from hlg.errors import StoppedError, UserError
from hlg.signals import StopRequest

BUILDS_KERNELS = "kernel_build_client"  # the part of MindSpore that talks to AKG, as its errors name it


Work = Callable[[Config, str, StopRequest], None]


def run_program(work: Work, argv: Sequence[str] | None, need: Sequence[str] = (), unread: Sequence[str] = ()) -> int:
    """Load the configuration and call ``work(config, stem of the config file, stop)``.

    A signal that asks to stop ends the process at once, unless ``work`` takes it over by ``stop.hold()``.

    Args:
        work: The program.
        argv: Its options, or None for those of the process.
        need: Keys of folders and files that must exist.
        unread: Keys of folders and files that it does not read.

    Returns:
        0, the exit code of the :class:`UserError` or :class:`StoppedError`.
    """
    try:
        config, stem = load(sys.argv[1:] if argv is None else argv, need, unread)
        with StopRequest() as stop:
            work(config, stem, stop)
    except UserError as error:
        say_error(error)
        return error.exit_code
    except StoppedError as stopped:
        say(stopped, file=sys.stderr)
        return stopped.exit_code
    except OSError as error:  # a full disk, a folder that is gone or read-only
        say_error(f"{error.filename or 'run folder'}: {error.strerror or error}; the run is not sealed")
        return UserError.exit_code
    except RuntimeError as error:
        if BUILDS_KERNELS not in str(error):
            raise
        say_error(
            "graph_kernel: the fused kernels could not be compiled, for the reason above, such as a full disk or a g++ "
            "that fails; mend that, or set graph_kernel to 0"
        )
        return UserError.exit_code
    return 0


def folder_argument(text: str) -> Path:
    """Convert an option of argparse to a folder; an empty one does not stand for the working directory."""
    if not text:
        raise argparse.ArgumentTypeError("found nothing; allowed: a folder")
    return Path(text)
