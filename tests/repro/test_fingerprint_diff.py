"""Two fingerprints side by side: what differs, where they part first, and what is no fingerprint."""

import json
from pathlib import Path
from typing import Any

import pytest

from repro.fingerprint_diff import main
from tests.support.programs import Call


def row(name: str, error: float | str | None, verdict: str = "ok", **others: Any) -> dict[str, Any]:
    known = {"area": "forward", "group": "stem", "name": name, "error": error, "bound": 1e-6, "verdict": verdict}
    return {**known, "source": "measured noise", "worst": "", "note": "", **others}


def fingerprint(path: Path, rows: list[dict[str, Any]], **facts: Any) -> Path:
    environment = {"packages": {"mindspore": facts.pop("mindspore", "2.10.0")}, "cpu": {"cores": 2}}
    known = {"format": 1, "title": "HLG-Mobile", "amp_level": "O0", "mode": "graph", "salt": "hlg:"}
    path.write_text(json.dumps({**known, "environment": environment, "rows": rows, **facts}))
    return path


def test_two_alike_have_the_same_verdict_in_every_row(tmp_path: Path, call: Call) -> None:
    rows = [row("convolution", 1e-7), row("GELU", 0.0)]
    a, b = fingerprint(tmp_path / "a.json", rows), fingerprint(tmp_path / "b.json", rows)
    out = call(main, a, b).out
    assert "no fact of the environment differs" in out
    assert out.endswith("the same verdict in every row\n")
    assert "1.0e-07" in call(main, a, b, "--all").out


def test_the_first_row_with_another_verdict_is_named_and_so_is_what_differs(tmp_path: Path, call: Call) -> None:
    a = fingerprint(tmp_path / "a.json", [row("convolution", 1e-7), row("batch norm", 1e-7), row("GELU", 1e-7)])
    rows = [row("convolution", 5e-7), row("batch norm", 3e-4, "out"), row("GELU", "inf", "out")]
    b = fingerprint(tmp_path / "b.json", rows, mindspore="2.11.0")
    out = call(main, a, b, code=1).out
    assert "they part first at: forward: stem: batch norm" in out
    lines = {line.split("  ")[0]: line.split() for line in out.splitlines()}
    assert lines["packages mindspore"] == ["packages", "mindspore", "2.10.0", "2.11.0"]
    assert lines["forward: stem: convolution"][-4:] == ["1.0e-07", "ok", "5.0e-07", "ok"]
    assert lines["forward: stem: GELU"][-4:] == ["1.0e-07", "ok", "inf", "out"]


def test_a_row_that_one_of_them_lacks_or_did_not_do_parts_them(tmp_path: Path, call: Call) -> None:
    a = fingerprint(tmp_path / "a.json", [row("convolution", 1e-7), row("mean", None, "not done", bound=None)])
    b = fingerprint(tmp_path / "b.json", [row("convolution", 1e-7), row("mean", 0.0)])
    c = fingerprint(tmp_path / "c.json", [row("convolution", 1e-7)])
    assert "they part first at: forward: stem: mean" in call(main, a, b, code=1).out
    assert "missing" in call(main, b, c, code=1).out


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("no json", "expected one JSON object"),
        ('{"rows": []}', "format: found nothing, expected a whole number"),
        ('{"format": 2, "rows": []}', "format: found 2, expected 1"),
        ('{"format": 1, "rows": [3]}', "rows[0]: found 3, expected an object"),
        ('{"format": 1, "rows": [{"area": "a", "group": "", "name": "b"}]}', "rows[0]: verdict: found nothing"),
        (json.dumps({"format": 1, "rows": [row("a", 1, "good")]}), "rows[0]: verdict: found 'good', expected one of"),
        (json.dumps({"format": 1, "rows": [row("a", 1), row("a", 1)]}), "rows[1]: found 'forward: stem: a' a second"),
    ],
)
def test_what_is_no_fingerprint_is_one_clear_error(content: str, said: str, tmp_path: Path, call: Call) -> None:
    (tmp_path / "bad.json").write_text(content)
    error = call(main, tmp_path / "bad.json", tmp_path / "bad.json", code=2).err
    assert error.startswith(f"error: {tmp_path}/bad.json: ")
    assert said in error


@pytest.mark.parametrize("name", ["missing.json", ""])
def test_a_file_that_is_not_there_is_one_clear_error(name: str, tmp_path: Path, call: Call) -> None:
    said = call(main, tmp_path / name, tmp_path / name, code=2)
    assert "no such file; make fingerprint writes one" in said.err
