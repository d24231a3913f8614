"""What every program does around its work: read the configuration, turn mistakes into one line and an exit code."""

import signal
import sys
from collections.abc import Callable, Sequence

from hlg.config import Config, load
from hlg.errors import StoppedError, UserError


def run(work: Callable[[Config, str], None], argv: Sequence[str] | None, need: Sequence[str]) -> int:
    """Call ``work(config, stem of the config file)``.

    Returns:
        0, the exit code of the :class:`UserError` or :class:`StoppedError`, or 130 after Ctrl-C.
    """
    try:
        config, stem = load(sys.argv[1:] if argv is None else argv, need)
        work(config, stem)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except StoppedError as stopped:
        print(stopped, file=sys.stderr)
        return stopped.exit_code
    except OSError as error:  # a full disk, a folder that is gone or read-only
        print(
            f"error: {error.filename or 'run folder'}: {error.strerror or error}; the run is not sealed",
            file=sys.stderr,
        )
        return UserError.exit_code
    except KeyboardInterrupt:
        print("stopped by Ctrl-C: the run folder is left readable and unsealed", file=sys.stderr)
        return 128 + signal.SIGINT
    return 0
