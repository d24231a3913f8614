"""Keep the sealed folders of many runs in one file, and read them out of it again."""

import io
import tarfile
import tempfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from gzip import GzipFile
from pathlib import Path

from repro.errors import ReproError
from repro.files import replace_file

LEFT_OUT = "checkpoints"  # 80 MB a run, of which the seal says that they may be missing


def pack_runs(archive: Path, sides: Mapping[str, Sequence[Path]]) -> None:
    """Write the run folders of each side, without checkpoints, into one file: the same bytes for the same runs."""
    packed = io.BytesIO()
    with (
        GzipFile(filename="", fileobj=packed, mode="wb", mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w") as tar,
    ):
        for side, folders in sides.items():
            for folder in folders:
                for path in sorted(path for path in folder.rglob("*") if path.is_file()):
                    name = path.relative_to(folder)
                    if LEFT_OUT not in name.parts:
                        entry = tarfile.TarInfo(f"{side}/{folder.name}/{name.as_posix()}")
                        entry.size = path.stat().st_size
                        with path.open("rb") as file:
                            tar.addfile(entry, file)
    replace_file(archive, packed.getvalue())


@contextmanager
def unpacked_runs(archive: Path) -> Iterator[Path]:
    """Have the runs of an archive in a folder meanwhile, a folder for each side in it.

    Raises:
        ReproError: it is no archive, or what is read in it is damaged; the message names the archive.
    """
    with tempfile.TemporaryDirectory() as name:
        try:
            with tarfile.open(archive, "r:gz") as tar:
                tar.extractall(name, filter="data")
        except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
            raise ReproError(f"{archive}: can't be read: {error}; make reproduce makes it again") from None
        try:
            yield Path(name)
        except ReproError as error:
            raise ReproError(str(error).replace(f"{name}/", f"{archive}: ")) from None
