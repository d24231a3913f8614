"""Let one process of a node prepare what all need, while the others wait for it.

They speak by a file, for a cloud's job is no place to listen on ports. A process that is gone says nothing any more, so
the file names who wrote it, by number and time of start; what an earlier job left behind is recognized by that.
"""

import json
import os
import time
from pathlib import Path
from typing import Any

from hlg.errors import LostRankError
from hlg.files import load_json, write_atomic

START_WINDOW_S = 60.0  # within which the processes of a job are started on a node
POLL_S = 0.2


class Handover:
    """The file at ``path``, the same for all processes of the node, by which the first tells the others its result."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def begin(self) -> None:
        """Say, as the first process, that it is at work."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._write({})

    def succeed(self, result: str) -> None:
        """Say that it is done, and that all may go on with ``result``."""
        self._write({"result": result})

    def fail(self, why: str) -> None:
        """Say that it has failed, and that all must."""
        self._write({"failed": why})

    def wait(self, limit_s: float) -> str:
        """Wait, as another process, until the first is done; returns its result.

        Raises:
            LostRankError: it has failed, or is gone, or is not done within ``limit_s`` seconds.
        """
        own = _started(os.getpid()) or 0.0
        end = time.monotonic() + limit_s
        while time.monotonic() < end:
            word = self._read()
            alive = _started(word["pid"]) == word["started"] if word else False
            if alive and "result" in word:
                return str(word["result"])
            if word and (alive or own - word["started"] < START_WINDOW_S):  # else it is of an earlier job
                first = f"the first process of this node (pid {word['pid']})"
                if "failed" in word:
                    raise LostRankError(f"{first} has failed: {word['failed']}")
                if not alive:
                    raise LostRankError(f"{first} is gone")
            time.sleep(POLL_S)
        raise LostRankError(f"the first process of this node was not done within {limit_s:g} s")

    def _write(self, said: dict[str, str]) -> None:
        write_atomic(self._path, json.dumps({"pid": os.getpid(), "started": _started(os.getpid()), **said}))

    def _read(self) -> dict[str, Any]:
        try:
            word: dict[str, Any] = load_json(self._path)
        except FileNotFoundError:
            return {}
        return word


def _started(pid: int) -> float | None:
    """Return when a process was started, in seconds since the machine was; None where it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[19]) / os.sysconf("SC_CLK_TCK")
