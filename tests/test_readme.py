"""What README.md and the kept pages show is made from what they speak of."""

import re
import shutil
from pathlib import Path

import pytest

from repro.markdown import read_table
from repro.report.__main__ import main as report
from tests.support import ROOT
from tests.support.processes import run_command, run_git
from tests.support.readme import TABLES

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_make_target_that_the_readme_names_exists() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z0-9-]+)", README, re.MULTILINE))
    assert named - targets == set()
    assert {"tiny", "test", "setup", "report"} <= named


def test_every_variable_that_is_advised_is_read_by_its_target() -> None:
    kinds = ("*.md", "*/README.md", "configs/*.yml", "docker/*ocker*", "repro/**/*.py", "hlg/**/*.py")
    texts = [path.read_text(encoding="utf-8") for kind in kinds for path in ROOT.glob(kind)]
    advised = set(re.findall(r"make ([a-z][a-z0-9-]*) ([A-Za-z_]+=[^`#,;\n]*)", "\n".join(texts)))
    assert len(advised) > 40
    for target, rest in advised:
        names = " ".join(re.findall(r"(?:^|\s)([A-Za-z_]+)=", rest))
        assert run_command("docker/variables.sh", names, target).stdout == "", f"make {target} {rest}"


@pytest.mark.parametrize("page", ["README.md", "docker/README.md", "results/README.md", "docker/programs.sh"])
def test_every_file_and_module_that_a_page_names_exists(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    links = {(ROOT / page).parent / link for link in re.findall(r"\]\((?!https?:)([^)#\s]+)", text)}
    modules = re.findall(r"(?:python -m|launch) ((?:hlg|repro|tests)[\w.]*)", text)
    places = [ROOT / module.replace(".", "/") for module in modules]
    assert [link for link in links if not link.exists()] == []
    assert [it for it in places if not (it.with_suffix(".py").exists() or (it / "__main__.py").exists())] == []


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_the_tree_has_every_folder_of_both_packages_and_no_other() -> None:
    lines = README.split("## The tree\n\n```\n")[1].split("```")[0].splitlines()
    listed: list[Path] = []
    for line in lines:
        depth = (len(line) - len(line.lstrip())) // 2
        listed.append(Path(*listed[-1].parts[:depth] if depth else (), line.split()[0]))
    tracked = {Path(name).parent for name in run_git(ROOT, "ls-files", "hlg", "repro").splitlines()}
    assert {folder for folder in listed if folder.parts[0] in ("hlg", "repro")} == tracked


@pytest.mark.parametrize("name", TABLES)
def test_a_table_of_the_readme_is_what_the_tests_make_of_it(name: str) -> None:
    assert read_table(ROOT / "README.md", name) == TABLES[name](), "renew it: python -m tests.support.readme --update"


def test_every_published_script_and_program_has_its_place_in_the_readme() -> None:
    section = README.split("## Coming from the published code")[1].split("<details>")[0]
    kinds = ("standalone_train", "distribute_train", "eval")
    scripts = [f"run_{kind}_{device}.sh" for kind in kinds for device in ("gpu", "ascend")]
    for name in (*scripts, "train.py", "eval.py", "export.py"):
        assert re.search(rf"^\| `[^|]*{re.escape(name)}[^|]*\| .*(make|hlg/?)", section, re.MULTILINE), name


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The kept runs, where a report of them can be written; the working directory."""
    for folder in ("kept", "seeds", "published"):
        shutil.copytree(ROOT / "results" / folder, tmp_path / "results" / folder)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_page_about_several_seeds_is_made_from_its_runs(kept: Path) -> None:
    assert report(["--runs", "results/seeds", "--out", "results/seeds/again.md"]) == 0
    page = (ROOT / "results/seeds/report.md").read_text()
    assert Path("results/seeds/again.md").read_text() == page
    assert "| 1, 2, 3 | Top-1 accuracy, last epoch | 3 |" in page


def test_the_example_of_a_report_is_made_from_the_kept_runs(kept: Path) -> None:
    runs = sorted(str(run.relative_to(kept)) for run in kept.glob("results/[ks]*/2*"))
    assert report([*runs, "--out", "results/example/report.md"]) == 0
    made, shown = (
        {file.relative_to(root): file.read_bytes() for file in root.rglob("*") if file.suffix not in ("", ".png")}
        for root in (kept / "results/example", ROOT / "results/example")
    )
    assert len(made) > 20
    assert [name for name in made.keys() | shown.keys() if made.get(name) != shown.get(name)] == []


def test_the_readmes_table_of_results_is_made_from_the_kept_runs(kept: Path) -> None:
    shutil.copy(ROOT / "README.md", kept)
    assert report(["--runs", "results/kept", "--check", "README.md"]) == 0
