"""Let SIGTERM through in a Python that MindSpore starts: ``site`` imports this first, by PYTHONPATH.

A child inherits the mask of :class:`hlg.signals.StopRequest`; AKG's server, for one, ends its workers by SIGTERM, and
would wait for them without end.
"""

import signal
import sys
from contextlib import suppress
from pathlib import Path

signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
# The interpreter may bring along a module of this name, which is to run as well.
sys.path[:] = [folder for folder in sys.path if Path(folder) != Path(__file__).parent]
ours = sys.modules.pop("sitecustomize")
with suppress(ModuleNotFoundError):
    import sitecustomize  # noqa: F401
sys.modules.setdefault("sitecustomize", ours)  # or Python says that it lost it
