"""The authors' code is recognized by its files alone: which commit, changed or not, or not theirs at all."""

import json
from pathlib import Path

import pytest

from repro.authors.checkout import VERSIONS, git_hash, recognize
from repro.errors import ReproError

FILES = {"train.py": b"train", "src/hlg.py": b"network", "src/loss.py": b"loss", "src/part/config.py": b""}
LATER = {"src/hlg.py": b"network of later"}


@pytest.fixture
def versions(tmp_path: Path) -> Path:
    """Two published commits of a stand-in for their code."""

    def hashes(files: dict[str, bytes]) -> dict[str, str]:
        return {name: git_hash(content) for name, content in files.items()}

    known = {"repository": "https://example.org/models", "files": hashes(FILES)}
    commits = [{"commit": "a" * 40, "files": {}}, {"commit": "b" * 40, "files": hashes(LATER)}]
    (path := tmp_path / "versions.json").write_text(json.dumps({**known, "versions": commits}))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Their code, as first published, beside what no training reads."""
    for name, content in {**FILES, "README.md": b"x", "config/hlg_config.yml": b"x"}.items():
        (path := tmp_path / "hlg" / name).parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "hlg"


def test_a_published_commit_is_named(folder: Path, versions: Path) -> None:
    assert recognize(folder, versions).words == "aaaaaaaaa, as first published, unchanged"
    (folder / "src/hlg.py").write_bytes(LATER["src/hlg.py"])
    assert recognize(folder, versions).words == "bbbbbbbbb, a later commit, unchanged"


def test_a_change_is_said_with_the_commit_that_is_nearest(folder: Path, versions: Path) -> None:
    (folder / "src/hlg.py").write_bytes(b"edited")
    (folder / "src/new.py").touch()
    (folder / "src/loss.py").unlink()
    found = recognize(folder, versions)
    assert found.changed == ("src/hlg.py changed", "src/loss.py missing", "src/new.py added")
    assert found.words.startswith(
        "no published commit; nearest to aaaaaaaaa, as first published, but src/hlg.py changed"
    )


@pytest.mark.parametrize("other", ["", "nowhere"])
def test_another_folder_is_an_error_that_says_where_theirs_is(other: str, tmp_path: Path, versions: Path) -> None:
    with pytest.raises(ReproError, match=r"--published: found .*not the authors' code; git clone https://gitee.com"):
        recognize(tmp_path / other, versions)


def test_the_known_commits_have_the_hashes_that_git_gives() -> None:
    assert git_hash(b"") == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
    known = json.loads(VERSIONS.read_text())
    assert known["files"]["src/__init__.py"] == git_hash(b"")
    assert known["versions"][0] == {"commit": "a3703c974208636033ea09d0910aa1e8cb493cd6", "files": {}}
    assert all(version["files"].keys() <= known["files"].keys() for version in known["versions"])
