"""Cache compiled graphs between runs, so that a repeated run starts in seconds.

MindSpore can write down what its compiler has made of a graph and read it back in another process, but it checks
little of what it reads: some source files, and not that its own files are whole. So there is a folder for each set of
everything that a graph depends on (:func:`graph_dependencies`), with the hash of every file in it, and MindSpore sees
nothing but a copy that was checked, or an empty folder. The values of parameters and what the host draws are inputs of
a graph and no part of it.
"""

import hashlib
import json
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import mindspore as ms
import numpy as np
from mindspore import Parameter

from hlg.config import Affects, Config, keys_that_affect
from hlg.console import say
from hlg.errors import UserError
from hlg.files import flush_to_disk, load_json, sha256_of
from hlg.runtime import fused_kernels
from hlg.runtime.device import Device

# Environment variables of MindSpore and of the libraries that compute for it, by how their names begin.
VARIABLES = ("MS_", "ONEDNN_", "DNNL_", "OMP_", "OPENBLAS_", "MKL_")
KEEP = 8  # entries, those that were used last; one of the tiny recipe has 17 MB
ENTRY = "entry.json"  # of an entry: what it was made from, and the SHA-256 of each of its files
FILLING = ".filling-"  # how the name of a folder begins that is not yet an entry, or no longer
ABANDONED_S = 3600  # the age at which such a folder is taken for that of a process that was killed

_used = False  # in this process, whose graphs MindSpore counts


@dataclass
class CacheUse:
    """The outcome of a use of the cache."""

    from_cache: bool = False
    """Whether the graphs came from the cache."""
    trouble: str = ""
    """Why they could not be kept, or nothing."""


def graph_dependencies(config: Config, on: Device, parameters: Iterable[Parameter]) -> dict[str, Any]:
    """Return everything that the graphs of this process depend on, as JSON has it.

    The sources are those of the package, and of the package of the program that runs, as far as they are loaded.
    """
    program = getattr(sys.modules["__main__"].__spec__, "name", "") or sys.argv[0]
    ours = ("hlg", program.split(".")[0], "__main__")
    loaded = {name: getattr(module, "__file__", None) for name, module in list(sys.modules.items())}
    found = {
        "program": program,
        "sources": {
            name: sha256_of(Path(file)) for name, file in sorted(loaded.items()) if file and name.split(".")[0] in ours
        },
        "config": {key: getattr(config, key) for key in sorted(keys_that_affect(Affects.GRAPHS))},
        "parameters": [[p.name, list(p.shape), str(p.dtype), p.requires_grad] for p in parameters],
        "device": [on.target, on.name, on.count],
        "software": {"mindspore": ms.__version__, "numpy": np.__version__, "python": platform.python_version()},
        "variables": {name: value for name, value in sorted(os.environ.items()) if name.startswith(VARIABLES)},
    }
    return json.loads(json.dumps(found))


@contextmanager
def cached_compilation(config: Config, on: Device, parameters: Iterable[Parameter]) -> Generator[CacheUse, None, None]:
    """Take graphs that are compiled in this context from the cache ``config.graph_cache``, or put them there.

    It does nothing where that key is empty, in PyNative mode, with fused kernels (MindSpore joins other operators in a
    graph that it has read back, which gives other bits), for several ranks (their graphs hold the group of ranks that
    met in this process, and compile at different times), and at its second use in a process, since MindSpore tells the
    graphs of a process apart by nothing but their order.

    Raises:
        UserError: the folder can't be written.
    """
    global _used
    use = CacheUse()
    if config.context_mode == ms.GRAPH_MODE and on.rank == 0:
        say("compiling the graphs (4 to 60 s on the CPUs tested); no output meanwhile")
    keeps = config.context_mode == ms.GRAPH_MODE and not config.graph_kernel
    if not config.graph_cache or not keeps or on.count > 1 or _used:
        yield use
        return
    _used = True
    folder, made_from = Path(config.graph_cache), graph_dependencies(config, on, parameters)
    entry = folder / hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=FILLING, dir=folder))
    except OSError as error:
        raise UserError(f"graph_cache {folder}: can't write in this folder ({error.strerror}); name another folder, "
                        "or empty the key to switch the cache off") from error  # fmt: skip
    try:
        before = _copy(entry, made_from, work)
        # MindSpore reads the sources that the program's file imports, to judge the cache by, and dies where it takes
        # "-m" for that file's name. The facts are judge enough: one file without imports of ours does.
        vars(_compiler())["entry_script_path"] = str(Path(__file__).with_name("__init__.py"))
        ms.set_context(enable_compile_cache=True, compile_cache_path=str(work))
        try:
            yield use
        finally:
            ms.set_context(enable_compile_cache=False)
        after = _sums(work)
        use.from_cache = bool(before) and before == after
        try:
            if use.from_cache:
                os.utime(entry)
            elif after:
                (work / ENTRY).write_text(json.dumps({"made_from": made_from, "files": after}, indent=1))
                _publish(work, entry)
            _prune(folder)
        except OSError as error:
            use.trouble = f"graph_cache {folder}: the compiled graphs are not kept ({error.strerror})"
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _compiler() -> ModuleType:
    """Return the module of MindSpore that compiles: mindspore.graph.api, or mindspore.common.api before 2.9."""
    return sys.modules[ms.jit.__module__]


def _sums(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file below a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): sha256_of(path) for path in files}


def _copy(entry: Path, made_from: dict[str, Any], work: Path) -> dict[str, str]:
    """Copy an entry's files and return their hashes; an incomplete entry is deleted, and nothing copied."""
    if not entry.exists():
        return {}
    try:
        known = load_json(entry / ENTRY)
        found = {name: (entry / name).read_bytes() for name in known["files"]}
        whole = known == {
            "made_from": made_from,
            "files": {name: hashlib.sha256(content).hexdigest() for name, content in found.items()},
        }
    except (OSError, ValueError, KeyError, TypeError):
        whole = False
    if not whole:
        _put_away(entry)
        return {}
    for name, content in found.items():
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_bytes(content)
    return dict(known["files"])


def _publish(work: Path, entry: Path) -> None:
    """Make a filled folder the entry, in one step; where another process was faster, its entry stays."""
    for path in (path for path in work.rglob("*") if path.is_file()):
        flush_to_disk(path)  # the sums would find out, but a power cut shall not cost the next run its start
    try:
        work.rename(entry)
    except OSError:
        if not entry.is_dir():
            raise


def _put_away(path: Path) -> None:
    """Delete a folder that other processes may be looking at: they see all of it, or nothing."""
    doomed = path.with_name(f"{FILLING}{os.getpid()}-{time.monotonic_ns()}")
    try:
        path.rename(doomed)
    except OSError:
        return  # another process did
    shutil.rmtree(doomed, ignore_errors=True)


def _prune(folder: Path) -> None:
    """Delete all but the entries that were used last, and folders that killed processes left."""
    age = {path: path.stat().st_mtime for path in folder.iterdir() if path.is_dir() and path.name != fused_kernels.KEPT}
    entries = sorted((path for path in age if not path.name.startswith(FILLING)), key=age.__getitem__, reverse=True)
    for path in (*entries[KEEP:], *(p for p in age if p not in entries and age[p] < time.time() - ABANDONED_S)):
        _put_away(path)
