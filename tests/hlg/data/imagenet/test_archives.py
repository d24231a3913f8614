"""Headers of archives: what tools write is read, and no hostile one takes time or memory, or leads outside."""

import gzip
import io
import tarfile
from pathlib import Path

import pytest

from hlg.data.imagenet.archives import HEADER, list_members, open_members
from hlg.errors import UserError

NAMES = ("n01440764/0.JPEG", f"{'long/' * 30}n01440764/1.JPEG", "n01440764/été 鱼.JPEG", f"{'x' * 180}.JPEG")


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_long_and_foreign_names_are_read_with_their_content_in_any_format(form: int, mode: str, tmp_path: Path) -> None:
    archive = tmp_path / "a.tar"
    with tarfile.open(archive, mode, format=form) as tar:  # type: ignore[call-overload]
        for i, name in enumerate(NAMES):
            entry = tarfile.TarInfo(name)
            entry.size = 500 * i + 1
            tar.addfile(entry, io.BytesIO(bytes([i]) * entry.size))
    members = list(list_members(archive))
    assert [member.name for member in members] == list(NAMES)
    with open_members(archive) as read:
        assert [read(member) for member in members] == [bytes([i]) * (500 * i + 1) for i in range(len(NAMES))]


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    """A header as tarfile writes it, whose size may be below zero."""
    entry = tarfile.TarInfo(name)
    entry.size, entry.type = size, kind
    return entry.tobuf(tarfile.GNU_FORMAT)


def pax(records: bytes, kind: bytes = tarfile.XHDTYPE) -> bytes:
    return header("pax", len(records), kind) + records.ljust(512, b"\0")


IMAGE = header("n01440764/0.JPEG", 1) + b"0".ljust(512)
LONG = header("././@LongLink", 5, tarfile.GNUTYPE_LONGNAME) + b"n/0.".ljust(512, b"\0")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (IMAGE + header("n01440764/1.JPEG", -512), "damaged after 'n01440764/0.JPEG' (a size of -512 bytes)"),
        (IMAGE + header("n01440764/1.JPEG", -1), "(a size of -1 bytes)"),
        (header("x", -1, tarfile.GNUTYPE_LONGNAME) + IMAGE, "(a size of -1 bytes)"),
        (header("x", HEADER + 1, tarfile.XHDTYPE) + bytes(HEADER + 1), "(a header of 65,537 bytes)"),
        (LONG * 20_000 + IMAGE, "'n/0.': refused, it is neither an image"),
        (pax(b"13 size=-512\n") + IMAGE, "(a size that is no number)"),
        (pax(b"28 size=9999999999999999999\n") + IMAGE, "(a size that is no number)"),
        (pax(b"0 path=x\n") + IMAGE, "(a broken extended header)"),
        (pax(b"15 path=../out\n") + IMAGE, "'../out': refused, its name leads out of the folder"),
        (pax(b"15 path=a.JPEG\n", tarfile.XGLTYPE) + IMAGE, "(one name or size for all files)"),
        (pax(b"22 GNU.sparse.major=1\n") + IMAGE, "'n01440764/0.JPEG': refused, it is no plain file"),
        (IMAGE + bytes(512) + bytes(2 << 20), "bytes or more before its file does)"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_a_hostile_header_is_refused_at_once(content: bytes, said: str, pack: type[bytes], tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(pack(content + bytes(1024)))
    with pytest.raises(UserError, match=r"a\.tar: ") as error:
        list(list_members(tmp_path / "a.tar"))
    assert said in str(error.value)
