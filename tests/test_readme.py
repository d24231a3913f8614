"""The pages are true: what they name exists, every link leads somewhere, and what is generated is up to date."""

import re
import shutil
from pathlib import Path

import pytest

from repro.markdown import read_table
from repro.report import overview
from repro.report.__main__ import main as report
from tests.support import ROOT, VERSION
from tests.support.processes import run_command, run_git
from tests.support.programs import Call
from tests.support.readme import MODULES, PAGES, TABLES, generated, make_text

TEXTS = {page.relative_to(ROOT).as_posix(): page.read_text(encoding="utf-8") for page in PAGES}
README, CHINESE = TEXTS["README.md"], TEXTS["README_CN.md"]
GENERATED = [(page.relative_to(ROOT).as_posix(), name) for page, name in generated()]


def test_every_make_target_that_a_page_names_exists() -> None:
    targets = set(" ".join(re.findall(r"^([a-z0-9 -]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)).split())
    named = set(re.findall(r"(?:^|`)make ([a-z0-9-]+)", "\n".join(TEXTS.values()), re.MULTILINE))
    assert named - targets == set()
    assert {"tiny", "test", "setup", "report"} <= named


def test_every_variable_that_is_advised_is_read_by_its_target() -> None:
    kinds = ("configs/*.yml", "docker/*ocker*", "repro/**/*.py", "hlg/**/*.py")
    texts = [path.read_text(encoding="utf-8") for kind in kinds for path in ROOT.glob(kind)]
    advised = set(re.findall(r"make ([a-z][a-z0-9-]*) ([A-Za-z_]+=[^`#,;\n]*)", "\n".join([*texts, *TEXTS.values()])))
    assert len(advised) > 40
    for target, rest in advised:
        names = " ".join(re.findall(r"(?:^|\s)([A-Za-z_]+)=", rest))
        assert run_command("docker/variables.sh", names, target).stdout == "", f"make {target} {rest}"


def _anchors(page: Path) -> set[str]:
    """The headings of a page, as GitHub makes anchors of them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", re.sub(r"\]\([^)]*\)", "", text.lower())).replace(" ", "-") for text in headings}


@pytest.mark.parametrize("page", [*TEXTS, "results/example/report.md", "results/seeds/report.md", "docker/programs.sh"])
def test_every_file_heading_and_module_that_a_page_names_exists(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for link in re.findall(r'(?:\]\(|src="|srcset=")(?!https?:)([^)"\s]+)', text):
        name, _, anchor = link.partition("#")
        place = (ROOT / page).parent / name if name else ROOT / page
        assert place.exists(), link
        assert not anchor or anchor in _anchors(place), link
    modules = re.findall(r"(?:python -m|launch) ((?:hlg|repro|tests)[\w.]*)", text)
    places = [ROOT / module.replace(".", "/") for module in modules]
    assert [it for it in places if not (it.with_suffix(".py").exists() or (it / "__main__.py").exists())] == []


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_the_tree_has_every_room_of_both_packages_and_no_other() -> None:
    tree = README.split("## Where things are\n\n```\n")[1].split("```")[0]
    for package in ("hlg", "repro"):
        rooms = re.search(rf"^{package}/.*\n((?:  .*\n)+)", tree, re.MULTILINE)
        tracked = {Path(name).parts[1] for name in run_git(ROOT, "ls-files", f"{package}/*/*").splitlines()}
        assert rooms
        assert {room.rstrip("/") for room in rooms[1].split()} == tracked


def test_the_front_page_is_short() -> None:
    assert len(README.splitlines()) < 250
    assert len(README.split()) < 2500


@pytest.mark.parametrize(("page", "name"), GENERATED)
def test_what_is_generated_in_a_page_is_what_it_is_made_from(page: str, name: str) -> None:
    assert read_table(ROOT / page, name) == make_text(name), "renew it: python -m tests.support.readme --update"


def test_everything_that_can_be_generated_stands_in_a_page() -> None:
    assert {name for _, name in GENERATED if not name.startswith(MODULES)} == TABLES.keys()


def test_the_picture_of_the_front_page_is_made_from_the_kept_runs(
    tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    call(overview.main, "--out", tmp_path)
    for page in overview.COLORS:
        assert (tmp_path / f"{page}.svg").read_text() == (ROOT / "results/overview" / f"{page}.svg").read_text()


def test_the_chinese_page_has_the_targets_of_the_english_one_and_no_figure_of_its_own() -> None:
    figures, targets = r"\d+\.\d+", r"(?:^|`)(make [a-z0-9-]+)"
    assert set(re.findall(figures, CHINESE)) <= set(re.findall(figures, README + TEXTS["hlg/cloud/README.md"]))
    assert set(re.findall(targets, README, re.MULTILINE)) <= set(re.findall(targets, CHINESE, re.MULTILINE))


def test_every_published_script_and_program_has_its_place_in_both_tables() -> None:
    kinds = ("standalone_train", "distribute_train", "eval")
    scripts = [f"run_{kind}_{device}.sh" for kind in kinds for device in ("gpu", "ascend")]
    for text in (TEXTS["configs/README.md"], CHINESE):
        for name in (*scripts, "train.py", "eval.py", "export.py"):
            assert re.search(rf"^\| `[^|]*{re.escape(name)}[^|]*\| .*(make|hlg/?)", text, re.MULTILINE), name


def test_the_newest_entry_of_the_changelog_is_the_version_of_the_project() -> None:
    assert re.findall(r"^## (.+)$", TEXTS["CHANGELOG.md"], re.MULTILINE)[0] == VERSION


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The kept runs, where a report of them can be written; the working directory."""
    for folder in ("kept", "seeds", "published", "reproduce"):
        if (ROOT / "results" / folder).exists():
            shutil.copytree(ROOT / "results" / folder, tmp_path / "results" / folder)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_page_about_several_seeds_is_made_from_its_runs(kept: Path) -> None:
    assert report(["--runs", "results/seeds", "--out", "results/seeds/again.md"]) == 0
    page = (ROOT / "results/seeds/report.md").read_text()
    assert Path("results/seeds/again.md").read_text() == page
    assert "| 1, 2, 3 | Top-1 accuracy, last epoch | 3 |" in page


# Pictures, which the page holds, tables that are there as CSV too, and formats with a file for each run.
OMITTED = {"figures", "mllog", "dllogger"}
TWICE = "results/example/report/tables/*.json"


def test_the_example_of_a_report_is_made_from_the_kept_runs(kept: Path) -> None:
    runs = sorted(str(run.relative_to(kept)) for run in kept.glob("results/[ks]*/2*"))
    assert report([*runs, "--out", "results/example/report.md"]) == 0
    made, shown = (
        {
            file.relative_to(root): file.read_bytes()
            for file in root.rglob("*.*")
            if not {*file.parts, file.suffix} & OMITTED and not file.match(TWICE)
        }
        for root in (kept / "results/example", ROOT / "results/example")
    )
    assert len(made) > 10
    assert [name for name in made.keys() | shown.keys() if made.get(name) != shown.get(name)] == []
