"""Copy files from and to the storage of ModelArts: the only module that knows MoXing, its library.

MoXing is the service's own and on no public registry; what PyPI calls ``moxing`` is another package. The names and
arguments of its calls are those of its documentation (the page "mox.file API document" in github.com/huaweicloud/
ModelArts-Lab, docs/moxing_api_doc; support.huaweicloud.com/moxing-devg-modelarts/modelarts_11_0004.html): a URL is
s3://, obs:// or a path on this machine, ``copy`` takes a file, ``copy_parallel`` a folder. It was never called by this
project: tests use a stand-in.
"""

import contextlib
import json
import os
import shutil
import tempfile
from pathlib import Path, PurePosixPath
from typing import Any

from hlg.errors import UserError
from hlg.files import link_or_point, link_target, load_json

WHEELS = "/home/ma-user/modelarts/package/moxing_framework-*.whl"


class StorageError(UserError):
    """The storage failed to do what it was asked. Exit code 1."""

    exit_code = 1


class Storage:
    """Files and folders behind URLs.

    Raises, from all that it does:
        StorageError: with URL and reason.
    """

    def __init__(self) -> None:
        try:
            import moxing

            self._file: Any = moxing.file
        except (ImportError, AttributeError) as error:
            raise StorageError(
                f"moxing, ModelArts' library for its storage, is not here ({error}). ModelArts' images have it; in one "
                f"of your own run `pip install {WHEELS}` first, which the service puts there (moxing on PyPI is "
                "another package)"
            ) from None

    def download(self, url: str, folder: Path) -> Path:
        """Copy the content of the folder ``url``, or the file ``url``, into ``folder``; returns folder or file."""
        url = url.rstrip("/")
        if not self._call("exists", url):
            raise StorageError(f"{url}: no such file or folder in the storage")
        folder.mkdir(parents=True, exist_ok=True)
        if not self._call("is_directory", url):
            file = folder / PurePosixPath(url).name
            self._call("copy", url, str(file))
            return file
        if self._call("list_directory", url):  # MoXing refuses to copy nothing
            self._call("copy_parallel", url, str(folder))
        return folder

    def upload(self, folder: Path, url: str) -> None:
        """Copy the content of ``folder`` into the folder ``url``, over what is there.

        In threads, for processes that MoXing forks would have the caller's handlers of signals, and not end by them.
        """
        if any(folder.iterdir()):
            self._call("copy_parallel", str(folder), url, is_processing=False)

    def exists(self, url: str) -> bool:
        """Tell whether there is such a file or folder."""
        return bool(self._call("exists", url))

    def remove(self, url: str) -> None:
        """Delete a file, if it is there."""
        if self._call("exists", url):
            self._call("remove", url)

    def _call(self, name: str, *arguments: str, **options: bool) -> Any:
        try:
            return getattr(self._file, name)(*arguments, **options)
        except Exception as error:  # MoXing has a dozen kinds, none documented as complete
            reason = (str(error).strip() or "no reason given").splitlines()[0]
            said = f"moxing.file.{name}({', '.join(arguments)})"
            raise StorageError(f"{said} failed: {type(error).__name__}: {reason}") from error


class Outbox:
    """Send what is new in ``folder`` to the folder ``url``, at any time of a run.

    A run in ``url`` can be resumed whenever sending was cut off: a checkpoint never arrives before the records that it
    counts on, nor a link before the checkpoint that it names. Links are kept as a file ``<run>.links.json`` beside the
    run's folder, for the storage has none. What the run has pruned is deleted there.

    What is in ``folder`` at the start counts as sent.
    """

    def __init__(self, storage: Storage, folder: Path, url: str) -> None:
        self._storage, self._folder, self._url = storage, folder, url.rstrip("/")
        folder.mkdir(parents=True, exist_ok=True)
        self._sent, self._links = self._files(), self._linked()

    def send(self) -> None:
        """Send what has changed since the last time.

        Raises:
            StorageError: all of it will be tried again the next time.
        """
        links, files = self._linked(), self._files()  # links first: what they mean is among the files, or pruned
        changed = [name for name, stamp in files.items() if self._sent.get(name) != stamp]
        with tempfile.TemporaryDirectory(prefix=".sending-", dir=self._folder) as place:  # on the same disk
            parts = [Path(place, part) for part in ("records", "checkpoints", "links")]
            for part in parts:
                part.mkdir()
            for name in sorted(changed, key=_is_a_checkpoint, reverse=True):  # the records as they are after them
                _snapshot(self._folder / name, parts[_is_a_checkpoint(name)] / name)
            for run, its in links.items():
                if self._links.get(run) != its:
                    (parts[2] / f"{run}.links.json").write_text(json.dumps(its, indent=1) + "\n", encoding="utf-8")
            for part in parts:
                self._storage.upload(part, self._url)
        for name in sorted(self._sent.keys() - files.keys()):
            self._storage.remove(f"{self._url}/{name}")
        self._sent, self._links = files, links

    def _files(self) -> dict[str, tuple[int, int]]:
        """List (size, time) of each file by relative name, without links and partial files (with a dot in front)."""
        found = {}
        for at, _, names in os.walk(self._folder):
            for path in (Path(at, name) for name in names if not name.startswith(".")):
                try:
                    status = path.lstat()
                except FileNotFoundError:  # pruned at this moment
                    continue
                if link_target(path) is None and ".sending-" not in at:
                    found[path.relative_to(self._folder).as_posix()] = (status.st_size, status.st_mtime_ns)
        return found

    def _linked(self) -> dict[str, dict[str, str]]:
        """List the links of each run: relative name -> target."""
        found: dict[str, dict[str, str]] = {}
        for run in (path for path in self._folder.iterdir() if not path.is_symlink()):
            for path in sorted(run.glob("checkpoints/*")):
                with contextlib.suppress(OSError):  # replaced at this moment
                    if target := link_target(path):
                        found.setdefault(run.name, {})[f"checkpoints/{path.name}"] = target
        return found


def fetch_run(storage: Storage, url: str, folder: Path, run: str) -> None:
    """Copy a run that an :class:`Outbox` sent to ``url`` back to ``folder``, with its links.

    Raises:
        StorageError: there is none.
    """
    storage.download(f"{url.rstrip('/')}/{run}", folder / run)
    links = f"{url.rstrip('/')}/{run}.links.json"
    if not storage.exists(links):
        return
    with tempfile.TemporaryDirectory() as place:
        kept = storage.download(links, Path(place))
        try:
            found = [(PurePosixPath(name), PurePosixPath(target)) for name, target in load_json(kept).items()]
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise StorageError(f"{links}: found no names and targets of links ({error}); copy the run again") from None
    for name, target in found:
        link = folder / run / name
        if ".." not in name.parts and len(target.parts) == 1 and link.parent.is_dir():
            link_or_point(link, target.name)


def _is_a_checkpoint(name: str) -> bool:
    """Tell whether a file is a checkpoint, or the state of one."""
    return "checkpoints" in PurePosixPath(name).parts


def _snapshot(file: Path, copy: Path) -> None:
    """Copy a file as it is now; a checkpoint, which is never written to again, takes no second place on the disk."""
    copy.parent.mkdir(parents=True, exist_ok=True)
    try:
        if file.suffix == ".ckpt":
            copy.hardlink_to(file)
        else:
            shutil.copyfile(file, copy)
    except FileNotFoundError:  # pruned at this moment
        pass
    except OSError:
        if file.suffix != ".ckpt":
            raise StorageError(f"{file}: can't be copied for sending") from None
        shutil.copyfile(file, copy)
