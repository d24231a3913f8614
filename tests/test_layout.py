"""The house keeps its order: floors by folder, no circles, and the wall between hlg and repro."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.support import ROOT

# The rooms of each package from the ground up: a room imports only from floors below its own.
FLOORS = {
    "hlg": (
        {"errors", "console", "config", "files", "limits", "signals", "cli"},
        {"model", "data", "record"},
        {"checkpoint", "runtime"},
        {"training", "launch", "cloud"},
        {"fingerprint", "inference", "bench"},
        {"train", "eval", "predict", "export", "run_exported", "modelarts"},
    ),
    "repro": (
        {"errors", "files", "markdown", "statistics", "footprint"},
        {"records", "stacks"},
        {"published", "reproduction"},
        {"report", "check", "audit", "plan", "bench", "doctor"},
        {"releases", "authors", "compare", "trend"},
        {"bootstrap", "cluster", "fingerprint_diff"},
    ),
}
# One room of several files.
GROUND = "errors", "console", "files", "config", "limits", "signals", "cli", "markdown", "statistics", "footprint"
WITHOUT_MINDSPORE = *GROUND[:7], "data", "record", "launch", "cloud", "modelarts"


def _modules(package: str) -> dict[str, Path]:
    """Dotted name -> file, ``__init__`` left out."""
    files = sorted(p.relative_to(ROOT) for p in (ROOT / package).rglob("*.py") if p.name != "__init__.py")
    return {".".join(file.with_suffix("").parts): ROOT / file for file in files}


MODULES = {**_modules("hlg"), **_modules("repro")}


def _room(module: str) -> str:
    return module.split(".")[1]


def _floor(module: str) -> int:
    package, room = module.split(".")[:2]
    return next(i for i, rooms in enumerate(FLOORS[package]) if room in rooms)


def _is_program(module: str) -> bool:
    return 'if __name__ == "__main__"' in MODULES[module].read_text(encoding="utf-8")


def _imports(path: Path) -> set[str]:
    """What a file imports anywhere in it: modules, and names in them."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


IMPORTS = {module: _imports(path) for module, path in MODULES.items()}
OURS = {module: names & set(MODULES) for module, names in IMPORTS.items()}


def _reached(module: str) -> set[str]:
    """The module and all of ours that it imports, directly or not."""
    found: set[str] = set()
    new = {module}
    while new:
        found |= new
        new = {other for name in new for other in OURS[name]} - found
    return found


def test_every_module_has_a_floor() -> None:
    rooms = {(module.split(".")[0], _room(module)) for module in MODULES}
    assert rooms == {(package, room) for package, floors in FLOORS.items() for floor in floors for room in floor}


@pytest.mark.parametrize("module", MODULES)
def test_a_room_imports_only_from_floors_below(module: str) -> None:
    for other in OURS[module]:
        same = _room(module) == _room(other) or {_room(module), _room(other)} <= set(GROUND)
        assert same or _floor(other) < _floor(module), f"{module} imports {other}"


@pytest.mark.parametrize("module", MODULES)
def test_nothing_imports_a_program(module: str) -> None:
    assert {other for other in OURS[module] if _is_program(other)} == set()


def test_no_modules_import_each_other_in_a_circle() -> None:
    TopologicalSorter(OURS).prepare()  # the error names the circle


@pytest.mark.parametrize("module", MODULES)
def test_each_package_keeps_to_its_side_of_the_wall(module: str) -> None:
    package, room = module.split(".")[:2]
    roots = {name.split(".")[0] for name in IMPORTS[module]}
    assert ({"hlg": "repro", "repro": "hlg"}[package]) not in roots
    if package == "repro" or room in WITHOUT_MINDSPORE:
        for other in _reached(module):
            assert "mindspore" not in {name.split(".")[0] for name in IMPORTS[other]}, f"{module} imports {other}"


PRINTERS = {"hlg.console", "repro.errors"}  # what goes through them can't act on a terminal
PRINTERS |= {"hlg.runtime.guard", "repro.bootstrap"}  # which import nothing
PRINTERS |= {"repro.doctor.__main__"}  # whose colors stand around what is escaped


@pytest.mark.parametrize("module", sorted(MODULES.keys() - PRINTERS))
def test_what_is_printed_goes_through_one_module_of_each_package(module: str) -> None:
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
            # Into a file of its own; to the console, say and tell.
            assert any(word.arg == "file" and "self." in ast.unparse(word.value) for word in node.keywords), module


def test_the_top_of_each_package_can_be_read_at_a_glance() -> None:
    assert len(list((ROOT / "hlg").glob("*.py"))) <= 13
    assert len(list((ROOT / "repro").glob("*.py"))) <= 9


def test_a_public_name_means_one_thing_in_the_whole_house() -> None:
    rooms: dict[str, set[str]] = {}
    for module, path in MODULES.items():
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
                rooms.setdefault(node.name, set()).add(".".join(module.split(".")[:2]))
    assert {name: places for name, places in rooms.items() if len(places) > 1 and name != "main"} == {}
