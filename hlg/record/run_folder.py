"""Write a run folder: the log in the published format, the same facts as JSON lines, and the seal."""

import contextlib
import hashlib
import json
import math
import os
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from hlg.console import printable, say
from hlg.errors import UserError
from hlg.files import PARTIAL, follow_links, link_or_point, lock_alone, remove_partials, sha256_of, write_atomic
from hlg.record.environment import code_patch, git_state

SEAL = "SHA256SUMS"


def step_line(epoch: int, step: int, loss: float) -> str:
    """Format one step as the published log does."""
    return f"epoch[{epoch}], step_num[{step}], loss={loss:.6f}"


def epoch_line(
    epoch: int,
    *,
    epoch_time_s: float,
    steps: int,
    loss: float,
    lr: float,
    images_per_s: float,
    accuracy: float | None = None,
    eval_time_s: float = 0.0,
) -> str:
    """Format one epoch as the published log does; without an evaluation (accuracy None) it ends after fps.

    ``accuracy`` is a share of 1. ``epoch_time_s`` holds the wait for data, but no compilation and no evaluation.
    """
    line = (
        f"epoch[{epoch}], epoch time: {epoch_time_s:.2f}s, per step time: {epoch_time_s / steps:.4f}s, "
        f"loss={loss:.6f}, lr={lr:.6f}, fps={images_per_s:.2f}"
    )
    return line if accuracy is None else f"{line}, accuracy={accuracy:.6f}, eval_cost={eval_time_s:.2f}"


def eval_line(accuracy: float, step_time_s: float, total_time_s: float) -> str:
    """Format an evaluation as the published log does."""
    return f"accuracy={accuracy:.6f}, per step time: {step_time_s:.4f}s, total cost time: {total_time_s:.4f}s"


class RunFolder:
    """One run's evidence. Usable as a context: leaving it without an error seals the folder.

    A folder without the seal (``SHA256SUMS``, written last) is an unfinished run.
    """

    def __init__(self, path: Path, kind: str) -> None:
        self.path = path
        self.kind = kind
        self._log: TextIO = (path / f"{kind}.log").open("a", encoding="utf-8")
        self._metrics: TextIO = (path / "metrics.jsonl").open("a", encoding="utf-8")
        self._written = {f"{kind}.log", "metrics.jsonl"}  # files that the seal must hold
        self.cut_steps = 0  # steps that were recorded after the checkpoint from which the run goes on
        try:
            lock_alone(self._metrics.fileno())
        except BlockingIOError:
            raise UserError(f"{path}: another process is writing this run; wait for it, or stop it first") from None

    @classmethod
    def create(cls, root: str | Path, kind: str, config: str, device: str, count: int = 1) -> "RunFolder":
        """Make ``<root>/<UTC date>_<config>_<device>x<count>_<commit>/``; ``kind`` is train or eval.

        Raises:
            UserError: the folder can't be made.
        """
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        commit = (git_state()["commit"] or "nogit")[:8]
        name = f"{stamp}_{config}_{device.lower()}x{count}_{commit}"
        try:
            Path(root).mkdir(parents=True, exist_ok=True)
            for suffix in ("", *(f"-{i}" for i in range(2, 100))):  # runs started in the same second
                path = Path(root) / f"{name}{suffix}"
                try:
                    path.mkdir()
                    return cls(path, kind)
                except FileExistsError:
                    continue
        except OSError as error:
            raise UserError(f"save_checkpoint_path {root}: can't make a run folder here ({error.strerror})") from error
        raise UserError(f"save_checkpoint_path {root}: has 99 run folders called {name}")

    @classmethod
    def reopen(cls, path: Path, kind: str, log_bytes: int, metrics_bytes: int) -> "RunFolder":
        """Continue the folder of an unfinished run; its log and metrics are cut back to what a checkpoint knows.

        What is cut off, steps that will be run again, is kept in ``<kind>.cut-<n>.log`` and ``metrics.cut-<n>.jsonl``.
        Files that a killed process left incomplete are removed.

        Raises:
            UserError: another process writes in it, or a file is shorter than when the checkpoint was written.
        """
        run = cls(path, kind)
        remove_partials(path)
        run._cut(log_bytes, metrics_bytes)
        return run

    def _cut(self, log_bytes: int, metrics_bytes: int) -> None:
        found = (re.fullmatch(r".+\.cut-(\d+)\..+", file.name) for file in self.path.iterdir())
        n = max([int(match[1]) for match in found if match], default=0) + 1
        sizes = {self.path / f"{self.kind}.log": log_bytes, self.path / "metrics.jsonl": metrics_bytes}
        contents = {file: file.read_bytes() for file in sizes}
        for file, size in sizes.items():  # both, before either is touched
            if len(contents[file]) < size or contents[file][size - 1 : size] != b"\n":
                raise UserError(f"{file}: is not what it was when the checkpoint was written, so the run can't go on")
        for file, size in sizes.items():
            name = f"{file.stem}.cut-{n}{file.suffix}"
            with self._writing(name):
                write_atomic(self.path / name, contents[file][size:])
        for file, size in sizes.items():  # now that both ends are kept, whatever happens in between
            os.truncate(file, size)
            self.cut_steps = contents[file][size:].count(b'"event": "step"')

    def positions(self) -> dict[str, int]:
        """Return the lengths of the log and of the metrics now, for :meth:`reopen`."""
        sizes = [os.fstat(file.fileno()).st_size for file in (self._log, self._metrics)]  # every line is flushed
        return {"log_bytes": sizes[0], "metrics_bytes": sizes[1]}

    def __enter__(self) -> "RunFolder":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._seal()
        finally:
            for file in (self._log, self._metrics):
                with contextlib.suppress(OSError):  # every line is flushed: what is left can't be written
                    file.close()

    def log(self, message: str, timestamp: bool = True) -> str:
        """Append one line to the log, in the published format, and return it."""
        message = printable(message)
        line = f"{datetime.now().strftime('%Y-%m-%d %H:%M:%S')}:INFO:{message}" if timestamp else message
        with self._writing(f"{self.kind}.log"):
            print(line, file=self._log, flush=True)
        return line

    def event(self, event: str, **facts: Any) -> None:
        """Append one JSON object to ``metrics.jsonl``; None values are left out, non-finite numbers become text."""
        record = {key: _jsonable(value) for key, value in facts.items() if value is not None}
        with self._writing("metrics.jsonl"):
            print(json.dumps({"event": event, **record}), file=self._metrics, flush=True)

    def write(self, name: str, content: str | bytes | dict[str, Any]) -> None:
        """Write one file of the folder, a dict as JSON."""
        with self._writing(name):
            write_atomic(
                self.path / name,
                json.dumps(content, indent=1, ensure_ascii=False) + "\n" if isinstance(content, dict) else content,
            )
        self._written.add(name)

    def with_patch(self, facts: dict[str, Any]) -> dict[str, Any]:
        """Write the uncommitted changes of the code, if any, to a file, and add its name to ``facts``."""
        if not facts["dirty"]:
            return facts
        patch = code_patch()
        if patch is None:
            return {**facts, "missing": [*facts["missing"], "what was changed in the code"]}
        name = f"code-{hashlib.sha256(patch).hexdigest()[:8]}.patch"
        self.write(name, patch)
        return {**facts, "patch": name}

    @contextlib.contextmanager
    def _writing(self, name: str) -> Iterator[None]:
        """Turn a failure to write a file of the folder into one that says what is left, and how to resume."""
        try:
            yield
        except OSError as error:
            last = follow_links(self.path / "checkpoints/last.ckpt")
            way_out = "start again"
            if self.kind == "train" and last.exists():
                way_out = f"resume from {last.resolve().name}, which is intact: RESUME={self.path} (or --resume)"
            raise UserError(
                f"{self.path / name}: can't be written ({error.strerror or error}), so the run is not sealed; make "
                f"room, or mend the disk, then {way_out}"
            ) from error

    def _seal(self) -> None:
        """Write the hashes of all files, if everything that this run has written is there."""
        gone = [name for name in sorted(self._written) if not (self.path / name).is_file()]
        if gone:
            raise UserError(f"{self.path}: {', '.join(gone)}: removed during the run, so it is not sealed")
        with self._writing(SEAL):
            files = sorted(
                p for p in self.path.rglob("*") if p.is_file() and p.name != SEAL and not p.name.startswith(PARTIAL)
            )
            lines = [f"{sha256_of(p)}  {p.relative_to(self.path).as_posix()}\n" for p in files]
            write_atomic(self.path / SEAL, "".join(lines))


class NoFolder(RunFolder):
    """The run folder of ranks other than the first: it keeps nothing, for rank 0 records for all."""

    @classmethod
    def instead(cls, root: str | Path, kind: str, *_: object) -> "NoFolder":
        """Take the place of :meth:`RunFolder.create`."""
        return cls(kind)

    def __init__(self, kind: str) -> None:
        self.path = Path("<the run folder that rank 0 names>")
        self.kind = kind

    def __exit__(self, *_: object) -> None:
        pass

    def log(self, message: str, timestamp: bool = True) -> str:
        return message

    def event(self, event: str, **facts: Any) -> None:
        pass

    def write(self, name: str, content: str | bytes | dict[str, Any]) -> None:
        pass

    def with_patch(self, facts: dict[str, Any]) -> dict[str, Any]:
        return facts


def link_latest(run: Path, config: str) -> None:
    """Link ``latest_<config>`` beside the run folder to it, so that scripts and people find the newest run.

    What stands in the way of the link, such as a folder with this name, does not stop the run; the user is told.
    """
    link = run.parent / f"latest_{config}"
    try:
        if link.is_dir() and not link.is_symlink():
            link.rmdir()  # an empty one
        link_or_point(link, run.name)
    except OSError as error:
        say(
            f"warning: {link} can't be made a link to this run ({error.strerror}); move it away, and until then name "
            f"{run} instead",
            file=sys.stderr,
        )


def _jsonable(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no nan and no infinity
    return value
