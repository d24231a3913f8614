"""Which processor a run was made on, told apart from others that virtual machines give the same name."""

import os
import sys
from pathlib import Path

import pytest

from hlg.config import Config
from hlg.record.processor import processor_facts
from hlg.runtime.engine import check_start

V2 = "lm cx16 lahf_lm popcnt pni sse4_1 sse4_2 ssse3"
V3 = f"{V2} abm avx avx2 bmi1 bmi2 f16c fma movbe xsave"
V4 = f"{V3} avx512bw avx512cd avx512dq avx512f avx512vl"
ARM = "processor\t: 0\nFeatures\t: {}\nCPU implementer\t: 0x48\nCPU part\t: 0xd01\n"


def _core(family: int, flags: str, stepping: int = 1) -> str:
    numbers = f"cpu family\t: {family}\nmodel\t\t: 2\nmodel name\t: AMD EPYC\nstepping\t: {stepping}\n"
    return f"processor\t: 0\nvendor_id\t: AuthenticAMD\n{numbers}flags\t\t: {flags}\n"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (_core(26, V4), "family 26.2.1, x86-64-v4"),
        (_core(25, V3), "family 25.2.1, x86-64-v3"),
        (_core(26, V3), "family 26.2.1, x86-64-v3"),  # what lies beneath keeps AVX-512 for itself
        (_core(26, V4.replace(" sse4_2", "")), "family 26.2.1, x86-64"),  # a level holds all of those below
        (_core(6, V2, stepping=7), "family 6.2.7, x86-64-v2"),
        (_core(25, V3) + "\n" + _core(26, V4), "family 25.2.1, x86-64-v3"),  # the first core's
        (ARM.format("fp asimd"), "part 0x48.0xd01, aarch64"),
        (ARM.format("fp asimd sve"), "part 0x48.0xd01, aarch64 sve"),
        (ARM.format("sve sve2"), "part 0x48.0xd01, aarch64 sve2"),
        ("", None),  # where the kernel says nothing, nothing is made up
        (None, None),  # no such file
    ],
)
def test_processors_of_one_name_are_told_apart_by_their_numbers_and_instructions(
    text: str | None, kind: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if text is not None:
        (tmp_path / "cpuinfo").write_text(text, encoding="utf-8")
    monkeypatch.setattr("hlg.record.processor.CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr("hlg.record.processor.platform.machine", lambda: "aarch64")
    found = processor_facts()
    assert found["kind"] == kind
    assert found["model"] == "AMD EPYC" if "family" in str(kind) else found["model"]


@pytest.mark.parametrize(
    ("maker", "flags", "core"), [("Intel", V4, "SKYLAKEX"), ("Intel", V3, None), ("AMD", V4, None)]
)
def test_an_intel_with_avx_512_is_named_to_openblas_before_numpy_is_loaded_and_not_later(
    maker: str, flags: str, core: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {"Intel": "GenuineIntel", "AMD": "AuthenticAMD"}
    (tmp_path / "cpuinfo").write_text(_core(6, flags).replace(names["AMD"], names[maker]), encoding="utf-8")
    monkeypatch.setattr("hlg.record.processor.CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(os, "environ", {})
    monkeypatch.setitem(sys.modules, "numpy", sys)
    check_start(Config())
    assert "OPENBLAS_CORETYPE" not in os.environ
    monkeypatch.delitem(sys.modules, "numpy")
    check_start(Config())
    assert os.environ.get("OPENBLAS_CORETYPE") == core
