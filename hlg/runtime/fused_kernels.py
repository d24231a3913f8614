"""Set up fused kernels on a CPU: MindSpore's graph kernels, before a graph is compiled.

MindSpore can join operators that read and write the same tensors into one kernel, of which AKG, a compiler that it
brings along, makes machine code here and now: a minute more before the first step, and less time and memory in every
one. Each kernel is a file, which is found again by what it computes. :func:`hlg.runtime.device.start` switches them on.
"""

import atexit
import hashlib
import importlib.util
import json
import os
import platform
import shutil
import tempfile
from importlib import metadata
from pathlib import Path

from hlg.config import Config
from hlg.errors import UserError
from hlg.record.processor import first_core

KEPT = "kernels"  # in the folder of compiled graphs
# What may be joined, and what is taken apart to be joined: arithmetic, sums and changes of order, whose kernels a test
# holds against MindSpore's own. AKG's Exp and Tanh are off by 1e-4 of their value, and a graph in which it was left to
# choose had wrong gradients.
JOINED = (
    "Add",
    "AddN",
    "Maximum",
    "Minimum",
    "Mul",
    "Neg",
    "RealDiv",
    "ReduceSum",
    "Rsqrt",
    "Square",
    "Sub",
    "Transpose",
)
EXPANDED = ("AddN", "BiasAdd", "LayerNorm", "ReduceMean", "Square")
FLAGS = f"--enable_cluster_ops_only={','.join(JOINED)} --enable_expand_ops_only={','.join(EXPANDED)}"
SCRATCH = "dsa_transfrom.log"  # which AKG leaves wherever it is


def check_kernels(config: Config) -> None:
    """Check that fused kernels can be compiled as configured.

    Raises:
        UserError: not on this device, or something is missing.
    """
    wanted = {"device_target": "CPU", "context_mode": 0, "amp_level": "O0"}
    for name, value in wanted.items():
        if getattr(config, name) != value:
            raise UserError(
                f"graph_kernel: found 1 with {name} {getattr(config, name)}; fused kernels are for compiled float32 "
                f"graphs on a CPU ({name} {value}): set it to 0"
            )
    package = _package()
    missing = [
        name
        for name, there in {
            "g++, which links the kernels": shutil.which("g++"),
            "AKG, MindSpore's compiler of kernels, which the CPU image leaves out": (package / "_akg").is_dir()
            and (package / "lib/plugin/cpu/libakg.so").is_file(),
            "the package decorator, which AKG imports": importlib.util.find_spec("decorator"),
        }.items()
        if not there
    ]
    if missing:
        raise UserError(f"graph_kernel: found 1, but there is no {'; no '.join(missing)}. Install it, or set it to 0")


def prepare_kernels(config: Config) -> None:
    """Tell MindSpore which kernels to fuse and where to keep them.

    Raises:
        UserError: the folder for them can't be written.
    """
    os.environ["MS_DEV_GRAPH_KERNEL_FLAGS"] = FLAGS
    os.environ["MS_COMPILER_CACHE_PATH"] = str(_folder(config.graph_cache))
    os.environ["AKG_WHITE_LIST_PATH"] = str(_package() / "_akg")  # else it complains of its own files, a line each
    if not Path(SCRATCH).exists():
        atexit.register(Path(SCRATCH).absolute().unlink, missing_ok=True)


def _package() -> Path:
    """Find the folder of MindSpore without importing it."""
    spec = importlib.util.find_spec("mindspore")
    return Path(str(spec and spec.origin)).parent


def _folder(graph_cache: str) -> Path:
    """Make the folder of kernels for this MindSpore and processor; without a cache, one for this process."""
    if not graph_cache:
        made = tempfile.mkdtemp(prefix="hlg-kernels-")
        atexit.register(shutil.rmtree, made, ignore_errors=True)
        return Path(made)
    try:
        # Of two processors of one name, as virtual machines have them, one may lack what kernels of the other need.
        core = first_core()
        processor = [core.get(key) for key in ("model name", "flags", "Features")]
        made_for = json.dumps([metadata.version("mindspore"), platform.machine(), *processor])
        folder = Path(graph_cache, KEPT, hashlib.sha256(made_for.encode()).hexdigest()[:16]).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        for record in folder.glob("akg_kernel_meta/*.json"):
            if not _is_json(record):  # MindSpore sees by its hash that a kernel is not whole, but not that this is not
                record.unlink()
    except OSError as error:
        raise UserError(
            f"graph_cache {graph_cache}: can't keep kernels in this folder ({error.strerror}); name another one, or "
            "none"
        ) from error
    return folder


def _is_json(file: Path) -> bool:
    try:
        json.loads(file.read_bytes())
    except ValueError:
        return False
    return True
