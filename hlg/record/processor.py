"""Identify the processor: virtual machines give one name to many, whose arithmetic and speed differ."""

import itertools
import platform
from pathlib import Path
from typing import Any

from hlg.limits import usable_cores

CPUINFO = Path("/proc/cpuinfo")
# The levels of x86-64 by what each adds, in the kernel's names; as the psABI for x86-64 has them.
LEVELS = (
    ("x86-64-v2", "cx16 lahf_lm popcnt pni sse4_1 sse4_2 ssse3"),
    ("x86-64-v3", "abm avx avx2 bmi1 bmi2 f16c fma movbe xsave"),
    ("x86-64-v4", "avx512bw avx512cd avx512dq avx512f avx512vl"),
)


def processor_facts() -> dict[str, Any]:
    """Describe the processor: ``model`` is its name, ``cores`` what this process may use, ``kind`` its kind by numbers.

    ``kind`` has the maker's numbers and the widest instructions that the machine lets through, such as
    ``family 25.1.1, x86-64-v3`` (family, model, stepping) or ``part 0x48.0xd01, aarch64``; None where unknown.
    """
    found = first_core()
    return {
        "model": found.get("model name") or platform.processor() or platform.machine(),
        "kind": _kind(found),
        "cores": usable_cores(),
    }


def openblas_core() -> str | None:
    """Name the processor whose kernels NumPy's OpenBLAS should take; None where it finds them itself.

    It takes an Intel processor that is newer than itself for one without AVX, on which a product takes five times as
    long; its kernels for AVX-512 are those of Skylake on all that it knows.
    """
    core = first_core()
    newest, _ = LEVELS[-1]
    fits = core.get("vendor_id") == "GenuineIntel" and _level(set(core.get("flags", "").split())) == newest
    return "SKYLAKEX" if fits else None


def first_core() -> dict[str, str]:
    """Read the lines of the first core in /proc/cpuinfo; none where there is no such file."""
    try:
        with CPUINFO.open(encoding="utf-8", errors="replace") as lines:
            parts = [line.partition(":") for line in itertools.takewhile(str.strip, lines)]
    except OSError:
        return {}
    return {key.strip(): value.strip() for key, _, value in parts}


def _kind(found: dict[str, str]) -> str | None:
    if "cpu family" in found:
        number = ".".join(found.get(key, "?") for key in ("cpu family", "model", "stepping"))
        return f"family {number}, {_level(set(found.get('flags', '').split()))}"
    if "CPU part" in found:
        vectors = [name for name in ("sve2", "sve") if name in found.get("Features", "").split()]
        number = ".".join(found.get(key, "?") for key in ("CPU implementer", "CPU part"))
        return f"part {number}, {' '.join([platform.machine(), *vectors[:1]])}"
    return None


def _level(flags: set[str]) -> str:
    reached = "x86-64"
    for name, needed in LEVELS:
        if not flags.issuperset(needed.split()):
            break
        reached = name
    return reached
