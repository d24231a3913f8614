"""The house keeps its order: floors, the wall between hlg and repro, the README's tree and commands."""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")

# A module imports only from floors below its own; nothing imports a program (floor 5).
FLOORS = {
    "errors": 0,
    "files": 0,
    "config": 0,
    "schedule": 0,
    "rule": 0,
    "processor": 0,
    "environment": 0,
    "record": 0,
    "journal": 0,
    "interrupt": 0,
    "watchdog": 0,
    "rank_table": 0,
    "supervise": 0,
    "handover": 0,
    "archives": 0,
    "confusion": 0,
    "storage": 0,
    "cli": 0,
    "kernels": 0,
    "device": 1,
    "augment": 1,
    "primitives": 1,
    "layers": 1,
    "calibration": 1,
    "collective": 1,
    "model": 2,
    "loss": 2,
    "optimizer": 2,
    "data": 2,
    "step": 3,
    "checkpoint": 3,
    "weights": 3,
    "golden": 3,
    "evaluate": 3,
    "flops": 3,
    "profiling": 3,
    "resume": 3,
    "graphs": 3,
    "training": 4,
    "numerics": 4,
    "train": 5,
    "eval": 5,
    "predict": 5,
    "export": 5,
    "exported": 5,
    "fingerprint": 5,
    "bench": 5,
    "launch": 5,
    "modelarts": 5,
}
# Within a floor, where one module is made of another.
NEIGHBOURS = {
    ("config", "errors"),
    ("files", "errors"),
    ("environment", "processor"),
    ("record", "environment"),
    ("record", "files"),
    ("record", "errors"),
    ("journal", "environment"),
    ("journal", "errors"),
    ("journal", "record"),
    ("kernels", "config"),
    ("kernels", "errors"),
    ("kernels", "processor"),
    ("cli", "config"),
    ("cli", "errors"),
    ("layers", "primitives"),
    ("data", "data"),
    ("numerics", "numerics"),
    ("evaluate", "step"),
    ("weights", "checkpoint"),
    ("golden", "weights"),
    ("resume", "checkpoint"),
    ("graphs", "resume"),
    ("rank_table", "errors"),
    ("supervise", "errors"),
    ("supervise", "interrupt"),
    ("handover", "errors"),
    ("archives", "errors"),
    ("storage", "errors"),
}


def _modules(package: str) -> list[Path]:
    return sorted(p for p in (ROOT / package).rglob("*.py") if p.name != "__init__.py")


def _imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def _name(path: Path) -> str:
    return path.relative_to(ROOT / "hlg").parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", _modules("hlg"), ids=lambda p: p.stem)
def test_a_module_imports_only_from_floors_below(path: Path) -> None:
    own = _name(path)
    for imported in _imports(path):
        parts = imported.split(".")
        if parts[0] == "repro":
            pytest.fail(f"{path.name} imports repro")
        if parts[0] == "hlg" and len(parts) > 1:
            other = parts[1]
            assert other in FLOORS, f"{path.name} imports {imported}, which has no floor"
            assert FLOORS[other] < FLOORS[own] or (own, other) in NEIGHBOURS, f"{own} imports {other}"


def test_every_module_has_a_floor() -> None:
    assert {_name(path) for path in _modules("hlg")} == set(FLOORS)


@pytest.mark.parametrize("path", [p for p in _modules("hlg") if FLOORS[_name(p)] == 0], ids=lambda p: p.stem)
def test_the_ground_floor_knows_no_mindspore(path: Path) -> None:
    assert not {name for name in _imports(path) if name.split(".")[0] == "mindspore"}


@pytest.mark.parametrize("path", _modules("repro"), ids=lambda p: p.stem)
def test_repro_imports_neither_mindspore_nor_hlg(path: Path) -> None:
    assert not {name for name in _imports(path) if name.split(".")[0] in ("mindspore", "hlg")}


def test_the_report_runs_where_mindspore_is_not_installed(tmp_path: Path) -> None:
    (tmp_path / "mindspore.py").write_text("raise ImportError('not here')")
    (tmp_path / "runs").mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "repro.report", "--runs", str(tmp_path / "runs"), "--out", str(tmp_path / "report.md")],
        cwd=ROOT,
        env={"PYTHONPATH": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "not measured" in (tmp_path / "report.md").read_text()


def _tree() -> dict[str, str]:
    """Path -> remark of the README's tree; two blanks of indentation a level."""
    block = re.search(r"## The tree\n+```\n(.*?)```", README, re.DOTALL)
    assert block, "README.md has no section 'The tree' with a block"
    paths: dict[str, str] = {}
    stack: list[str] = []
    for line in block[1].splitlines():
        indent = (len(line) - len(line.lstrip())) // 2
        names, _, remark = line.strip().partition("  ")
        stack = stack[:indent]
        for name in names.split(" "):
            paths["/".join([*stack, name.rstrip("/")])] = remark
        stack.append(names.rstrip("/"))
    return paths


def test_everything_in_the_readmes_tree_is_on_disk() -> None:
    missing = [path for path in _tree() if not (ROOT / path).exists()]
    assert not missing


def test_everything_in_git_is_in_the_readmes_tree() -> None:
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("not a git checkout")
    tree = _tree()
    top = {file.split("/")[0] for file in done.stdout.splitlines()} - {".gitignore"}
    assert top == {path for path in tree if "/" not in path}
    modules = {f for f in done.stdout.splitlines() if re.fullmatch(r"(hlg|repro)/(\w+/)?[^_/]\w*\.py", f)}
    assert modules <= set(tree), sorted(modules - set(tree))


def test_every_make_target_that_the_readme_names_exists() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"`make ([a-z0-9-]+)", README)) | set(
        re.findall(r"^make ([a-z0-9-]+)", README, re.MULTILINE)
    )
    assert named - targets == set()
    assert {"tiny", "test", "setup", "report"} <= named


def test_the_readmes_table_of_faults_is_made_from_the_drills() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.drill", "--check", "README.md"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_readmes_table_of_published_keys_is_made_from_the_configuration() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.migration", "--check", "README.md"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_what_the_readme_says_of_plans_is_what_make_plan_says_and_what_was_measured() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.plan_check", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("maker", ["tests.fingerprint.planted", "tests.fingerprint.example"])
def test_the_readmes_fingerprint_and_its_planted_faults_are_made_from_the_tests(maker: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", maker, "--check", "README.md"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_every_published_script_and_program_has_its_place_in_the_readme() -> None:
    section = README.split("## Coming from the published code")[1].split("<details>")[0]
    scripts = [
        f"run_{kind}_{device}.sh"
        for kind in ("standalone_train", "distribute_train", "eval")
        for device in ("gpu", "ascend")
    ]
    for name in (*scripts, "train.py", "eval.py", "export.py"):
        assert re.search(rf"^\| `[^|]*{re.escape(name)}[^|]*\| .*(make|hlg/?)", section, re.MULTILINE), name


def test_the_page_about_several_seeds_is_made_from_its_runs(tmp_path: Path) -> None:
    for folder in ("seeds", "published"):
        shutil.copytree(ROOT / "results" / folder, tmp_path / "results" / folder)
    done = subprocess.run(
        [sys.executable, "-m", "repro.report", "--runs", "results/seeds", "--out", "results/seeds/again.md"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    page = (ROOT / "results/seeds/report.md").read_text()
    assert (tmp_path / "results/seeds/again.md").read_text() == page
    assert "| 1, 2, 3 | Top-1 accuracy, last epoch | 3 |" in page


def test_the_example_of_a_report_is_made_from_the_kept_runs(tmp_path: Path) -> None:
    for folder in ("kept", "seeds", "published"):
        shutil.copytree(ROOT / "results" / folder, tmp_path / "results" / folder)
    runs = sorted(str(run.relative_to(tmp_path)) for run in tmp_path.glob("results/[ks]*/2*"))
    done = subprocess.run(
        [sys.executable, "-m", "repro.report", *runs, "--out", "results/example/report.md"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    made, kept = (
        {file.relative_to(root): file.read_bytes() for file in root.rglob("*") if file.suffix not in ("", ".png")}
        for root in (tmp_path / "results/example", ROOT / "results/example")
    )
    assert len(made) > 20
    assert [name for name in made.keys() | kept.keys() if made.get(name) != kept.get(name)] == []


def test_the_readmes_table_of_results_is_made_from_the_kept_runs() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "repro.report", "--runs", "results/kept", "--check", "README.md"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
