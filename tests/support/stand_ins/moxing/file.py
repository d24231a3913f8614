"""The calls. What MoXing does with a link, or with nothing to copy, is not documented: both are errors here."""

import json
import multiprocessing
import os
import re
import shutil
import time
from collections.abc import Sequence
from pathlib import Path


def copy(src_url: str, dst_url: str, client_id: str | None = None) -> None:
    """Copy a file."""
    _called("copy", src_url, dst_url)
    source, target = _path(src_url), _path(dst_url)
    if not source.is_file() or source.is_symlink():
        raise FileNotFoundError(f"{src_url}: no file")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def copy_parallel(
    src_url: str,
    dst_url: str,
    file_list: Sequence[str] | None = None,
    threads: int = 16,
    is_processing: bool = True,
    use_queue: bool = True,
) -> None:
    """Copy what is in a folder."""
    _called("copy_parallel", src_url, dst_url)
    source = _path(src_url)
    found = [path for path in sorted(source.rglob("*")) if path.is_symlink() or path.is_file()]
    if not source.is_dir() or not found:
        raise ValueError(f"{src_url}: No files to copy")
    if is_processing:  # a process that this one ends, as a pool does: it must not have handlers that go on
        helper = multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,), daemon=True)
        helper.start()
        time.sleep(0.05)
        helper.terminate()
        helper.join()
    for path in found:
        if path.is_symlink():
            raise ValueError(f"{path}: a link")
        target = _path(dst_url) / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def exists(url: str) -> bool:
    """Whether there is such a file or folder."""
    _called("exists", url)
    return _path(url).exists()


def is_directory(url: str) -> bool:
    """Whether there is such a folder."""
    _called("is_directory", url)
    return _path(url).is_dir()


def list_directory(
    url: str, recursive: bool = False, remove_sep: bool = True, skip_file: bool = False, skip_dir: bool = False
) -> list[str]:
    """The names in a folder."""
    _called("list_directory", url)
    return sorted(os.listdir(_path(url)))  # noqa: PTH208


def remove(url: str, recursive: bool = False) -> None:
    """Delete a file."""
    _called("remove", url)
    _path(url).unlink()


def _path(url: str) -> Path:
    if match := re.fullmatch(r"(?:s3|obs)://([^/]+)(?:/(.*))?", url):
        return Path(os.environ["STAND_IN_BUCKETS"], match[1], match[2] or "")
    if not url.startswith("/"):
        raise ValueError(f"{url}: neither a URL of the storage nor a path")
    return Path(url)


def _called(name: str, *urls: str) -> None:
    call = " ".join((name, *urls))
    with Path(os.environ["STAND_IN_BUCKETS"], "calls.jsonl").open("a") as record:
        record.write(json.dumps([os.getpid(), name, *urls]) + "\n")
    if (pattern := os.environ.get("STAND_IN_FAILS")) and re.search(pattern, call):
        raise ConnectionError("stat:403 errorCode:AccessDenied\nrequest-id: 0")
