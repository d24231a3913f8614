"""Find the checkpoint that a user names.

Nothing here imports MindSpore, so that programs can report a mistake before they do.
"""

from pathlib import Path

from hlg.errors import UserError
from hlg.files import follow_links

LAST, BEST = "last.ckpt", "best.ckpt"


def find_checkpoint(path: str | Path) -> Path:
    """Find the checkpoint that ``pretrained`` names: a file, or the newest one in a run folder.

    Raises:
        UserError: nothing named, no such file, or a run folder without checkpoints.
    """
    if not str(path):
        raise UserError(
            "pretrained: found nothing; give a checkpoint (.ckpt, .safetensors) or a run folder that holds one"
        )
    path = follow_links(Path(path))
    if not path.is_dir():
        check_file(path)
        return path
    last = follow_links(path / "checkpoints" / LAST)
    if not last.exists():
        raise UserError(f"pretrained: {path} holds no checkpoints/{LAST}; give a checkpoint or a run folder")
    return last


def check_file(path: Path) -> None:
    """Check that there is a checkpoint file under this name.

    Raises:
        UserError: no such file, or a name that does not end as those of checkpoints do.
    """
    if not path.is_file():
        raise UserError(f"checkpoint {path}: no such file")
    if path.suffix not in (".ckpt", ".safetensors"):
        raise UserError(
            f"checkpoint {path}: expected a MindSpore checkpoint, whose name ends in .ckpt, or weights in .safetensors"
        )
