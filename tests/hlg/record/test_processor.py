"""Which processor a run was made on, told apart from others that virtual machines give the same name."""

from pathlib import Path

import pytest

from hlg.record.processor import processor_facts

V2 = "lm cx16 lahf_lm popcnt pni sse4_1 sse4_2 ssse3"
V3 = f"{V2} abm avx avx2 bmi1 bmi2 f16c fma movbe xsave"
V4 = f"{V3} avx512bw avx512cd avx512dq avx512f avx512vl"


def _core(family: int, flags: str, stepping: int = 1) -> str:
    numbers = f"cpu family\t: {family}\nmodel\t\t: 2\nmodel name\t: AMD EPYC\nstepping\t: {stepping}\n"
    return f"processor\t: 0\nvendor_id\t: AuthenticAMD\n{numbers}flags\t\t: {flags}\n"


def _kind(text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str | None:
    (folder / "cpuinfo").write_text(text, encoding="utf-8")
    monkeypatch.setattr("hlg.record.processor.CPUINFO", folder / "cpuinfo")
    kind: str | None = processor_facts()["kind"]
    return kind


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (_core(26, V4), "family 26.2.1, x86-64-v4"),
        (_core(25, V3), "family 25.2.1, x86-64-v3"),
        (_core(26, V3), "family 26.2.1, x86-64-v3"),  # what lies beneath keeps AVX-512 for itself
        (_core(26, f"{V4} ".replace("avx512vl ", "")), "family 26.2.1, x86-64-v3"),
        (_core(26, V4.replace(" sse4_2", "")), "family 26.2.1, x86-64"),  # a level holds all of those below
        (_core(6, V2, stepping=7), "family 6.2.7, x86-64-v2"),
        (_core(25, V3) + "\n" + _core(26, V4), "family 25.2.1, x86-64-v3"),  # the first core's
    ],
)
def test_processors_of_one_name_are_told_apart_by_their_numbers_and_instructions(
    text: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _kind(text, tmp_path, monkeypatch) == expected
    assert processor_facts()["model"] == "AMD EPYC"


@pytest.mark.parametrize(("features", "vector"), [("fp asimd", ""), ("fp asimd sve", " sve"), ("sve sve2", " sve2")])
def test_an_arm_processor_is_named_by_its_part(
    features: str, vector: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hlg.record.processor.platform.machine", lambda: "aarch64")
    text = f"processor\t: 0\nFeatures\t: {features}\nCPU implementer\t: 0x48\nCPU part\t: 0xd01\n"
    assert _kind(text, tmp_path, monkeypatch) == f"part 0x48.0xd01, aarch64{vector}"


@pytest.mark.parametrize("text", ["", "\n\n", "model name\n", "\x00 : \x00"])
def test_where_the_kernel_says_nothing_no_kind_is_made_up(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _kind(text, tmp_path, monkeypatch) is None
    assert processor_facts()["model"]
    monkeypatch.setattr("hlg.record.processor.CPUINFO", tmp_path / "missing")
    assert processor_facts()["kind"] is None


def test_of_this_machine_at_least_name_and_cores_are_known() -> None:
    found = processor_facts()
    assert found["model"]
    assert found["cores"] >= 1
