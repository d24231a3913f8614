"""The program behind make check: exit codes, and what it leaves for people and for CI."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from repro.check.__main__ import main
from repro.check.baselines import write_baseline
from tests.support.checks import baseline, check_run, off
from tests.support.processes import run_module
from tests.support.programs import Call, Said

Check = Callable[..., Said]


@pytest.fixture
def check(tmp_path: Path, call: Call) -> Check:
    """Holds a run with these changes against the baseline, which ends with this exit code."""
    write_baseline(baseline(tmp_path))

    def check(number: int = 1, code: int = 0, **changes: Any) -> Said:
        run = check_run(tmp_path / "runs", number, **changes)
        folders = ("--baselines", tmp_path / "baselines", "--convergence", tmp_path / "convergence")
        return call(main, run, *folders, "--out", tmp_path / "out", code=code)

    return check


def test_nothing_worse_is_0_and_the_verdict_is_there_for_people_and_for_programs(check: Check, tmp_path: Path) -> None:
    *lines, last = check().out.splitlines()
    expected = {"losses": "match", "accuracy": "match", "convergence": "incomparable", "speed": "match"}
    assert dict(line.split()[:2] for line in lines) == expected
    assert last.startswith("match: 20261123T000001Z_check_cpux1_1a2b3c4d against baseline check_cpux1_intel-xeon_")
    found = json.loads((tmp_path / "out" / "verdict.json").read_text())
    assert (found["verdict"], found["step_over_calibration"]) == ("match", 20.0)
    assert {finding["name"]: finding["verdict"] for finding in found["findings"]} == expected


def test_something_worse_is_1_and_what_cannot_be_compared_is_3_and_never_passes(check: Check) -> None:
    check(code=1, losses=off(0.1))
    check(2, code=3, config={"lr_max": 0.5})


def test_a_changed_or_unfinished_run_is_2_and_no_older_verdict_stays(check: Check, call: Call, tmp_path: Path) -> None:
    check()
    run = check_run(tmp_path / "broken")
    for file, said in (("train.log", "the seal is broken: missing train.log"), ("SHA256SUMS", "not finished, so it")):
        (run / file).unlink()
        assert said in call(main, run, "--out", tmp_path / "out", code=2).err
        assert list((tmp_path / "out").iterdir()) == []


def test_a_folder_whose_name_is_not_utf_8_is_judged_as_any_other(check: Check, tmp_path: Path) -> None:
    run = check_run(tmp_path / "odd")
    odd = run.rename(run.with_name(f"{run.name}_\udcff"))
    folders = ["--baselines", tmp_path / "baselines", "--out", tmp_path / "out"]
    done = run_module("repro.check", odd, *folders, env={"PYTHONIOENCODING": "utf-8:strict"})
    assert (done.returncode, done.stderr) == (0, "")
    assert "match" in (tmp_path / "out" / "summary.md").read_text()


def test_junit_has_a_case_for_each_finding_with_failures_and_skips(check: Check, tmp_path: Path) -> None:
    check(code=1, losses=off(0.1), env={"cpu": {"model": "A <b> & \x1b[31m", "cores": 2}, "started": "\x0b"})
    suite = ElementTree.parse(tmp_path / "out" / "junit.xml").getroot()
    assert [suite.get(key) for key in ("tests", "failures", "errors", "skipped")] == ["4", "1", "0", "2"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", str(suite.get("timestamp")))  # as Ant's schema has it
    assert (bool(suite.get("hostname")), suite.get("time")) == (True, "40.000")
    assert all(case.get("time") and case.get("classname") for case in suite.iter("testcase"))
    assert [case.get("name") for case in suite.iter("testcase")] == ["losses", "accuracy", "convergence", "speed"]
    (failure,) = suite.iter("failure")
    assert "step 0: " in str(failure.get("message"))
    assert failure.get("type") == "worse"
    _, skipped = suite.iter("skipped")
    assert "cpu Intel Xeon -> A <b> & " in str(skipped.get("message"))


def test_the_summary_goes_to_the_page_of_the_job_and_a_page_that_cannot_be_written_takes_nothing_from_the_verdict(
    check: Check, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(page))
    check(env={"cpu": {"model": "<script>|", "cores": 2}})
    text = page.read_text()
    assert text == "before\n" + (tmp_path / "out" / "summary.md").read_text()
    assert "| losses | **match** | all 40 match the baseline bit for bit |" in text
    assert "- cpu: Intel Xeon -&gt; &lt;script&gt;\\|" in text
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path))
    assert "GITHUB_STEP_SUMMARY" in check(2, code=1, losses=off(0.1)).err
