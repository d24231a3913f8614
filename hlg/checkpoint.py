"""Weights on disk: our own checkpoints, written whole or not at all, and the published ones, by their names."""

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import mindspore as ms
from mindspore import Parameter, Tensor, nn

from hlg.errors import UserError
from hlg.record import sha256_of

_LAYERS = {
    "query": "attn.to_q",
    "key": "attn.to_k",
    "value": "attn.to_v",
    "project": "attn.proj",
    "expand": "mlp.ff1",
    "contract": "mlp.ff2",
}

# Our parameter names -> the published ones. Where the published model numbers its stages from 1, ours count from 0.
_PUBLISHED: list[tuple[str, Callable[..., str]]] = [
    (r"stages\.\d\.cls", lambda: "cls"),
    (r"stages\.(\d)\.position", lambda s: f"pos_embed{int(s) + 1}"),
    (r"embeds\.0\.(\d)\.(conv|norm)\.(\w+)", lambda i, part, leaf: f"patch_embed1.{part}{int(i) + 1}.{leaf}"),
    (r"embeds\.(\d)\.(conv|norm)\.(\w+)", lambda s, part, leaf: f"patch_embed{int(s) + 1}.{part}.{leaf}"),
    (
        r"stages\.(\d)\.blocks\.(\d)\.smooth\.(\d)\.(conv|norm)\.(\w+)",
        lambda s, b, i, part, leaf: f"block{int(s) + 1}_{b}.spatial_smooth.0.{3 * int(i) + (part == 'norm')}.{leaf}",
    ),
    (
        r"stages\.(\d)\.blocks\.(\d)\.(attention|mlp)\.(\w+)\.(\w+)",
        lambda s, b, _, layer, leaf: f"block{int(s) + 1}_{b}.{_LAYERS[layer]}.{leaf}",
    ),
    (
        r"stages\.(\d)\.blocks\.(\d)\.(norm\d)\.(\w+)",
        lambda s, b, norm, leaf: f"block{int(s) + 1}_{b}.{norm}.{leaf}",
    ),
    (r"((?:norm|head)\.\w+)", lambda name: name),
]


def published_name(name: str) -> str:
    """The name that the published model gives to our parameter ``name``."""
    for pattern, rename in _PUBLISHED:
        if match := re.fullmatch(pattern, name):
            return rename(*match.groups())
    raise KeyError(name)


@dataclass(frozen=True)
class LoadReport:
    """What became of the parameters of a checkpoint file: names as they stand in the file."""

    path: str
    sha256: str
    naming: str  # "hlg-repro" or "published"
    used: tuple[str, ...]
    unused: tuple[str, ...]

    def __str__(self) -> str:
        unused = f", {len(self.unused)} stored but unused" if self.unused else ""
        return f"{self.path}: {len(self.used)} parameters used ({self.naming} names){unused}, sha256 {self.sha256[:8]}"


def find(path: str | Path) -> Path:
    """The checkpoint that ``pretrained`` names: a file, or the newest one in a run folder.

    Raises:
        UserError: nothing named, no such file, or a run folder without checkpoints.
    """
    if not str(path):
        raise UserError("pretrained: found nothing; give a checkpoint (.ckpt) or a run folder that holds one")
    path = Path(path)
    if not path.is_dir():
        return path
    found = sorted((path / "checkpoints").glob("*.ckpt"))
    if not found:
        raise UserError(f"pretrained: {path} holds no checkpoints/*.ckpt; give a checkpoint or a run folder")
    return found[-1]


def read(path: str | Path) -> dict[str, Parameter]:
    """The parameters in a checkpoint file.

    Raises:
        UserError: no such file, or not a readable checkpoint.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"checkpoint {path}: no such file")
    if path.suffix != ".ckpt":
        raise UserError(f"checkpoint {path}: expected a MindSpore checkpoint, whose name ends in .ckpt")
    try:
        return ms.load_checkpoint(str(path))
    except (ValueError, TypeError, RuntimeError, KeyError) as error:
        raise UserError(f"checkpoint {path}: damaged or not a MindSpore checkpoint ({_first_line(error)})") from error


def load_weights(path: str | Path, network: nn.Cell) -> LoadReport:
    """Set every parameter of ``network`` from a checkpoint, ours or a published one.

    Raises:
        UserError: an unreadable file, or one in which a parameter is missing or has another shape: all are named, and
            the network is left as it was.
    """
    stored = read(path)
    own = {p.name: p for p in network.get_parameters()}
    ours = any(name in stored for name in own if published_name(name) != name)
    source = {name: name if ours else published_name(name) for name in own}
    missing = [source[name] for name in own if source[name] not in stored]
    wrong = [
        f"{source[name]} is {_shape(stored[source[name]])} in the file, {_shape(p)} in the network"
        for name, p in own.items()
        if source[name] in stored and tuple(stored[source[name]].shape) != tuple(p.shape)
    ]
    if missing or wrong:
        faults = [f"{len(missing)} parameters are missing: {_some(missing)}"] if missing else []
        faults += [f"{len(wrong)} have another shape: {_some(wrong, '; ')}"] if wrong else []
        hint = " (is class_num the checkpoint's?)" if any("head." in fault for fault in wrong) else ""
        raise UserError(f"checkpoint {path} does not fit the network: {'; '.join(faults)}{hint}")
    for name, parameter in own.items():
        parameter.set_data(Tensor(stored[source[name]].asnumpy(), parameter.dtype))
    used = tuple(source.values())
    return LoadReport(
        str(path),
        sha256_of(Path(path)),
        "hlg-repro" if ours else "published",
        used,
        tuple(name for name in stored if name not in set(used)),
    )


def save(path: str | Path, parameters: Iterable[Parameter]) -> Path:
    """Write a checkpoint under ``path`` so that the file is there whole or not at all.

    MindSpore's own writer deletes an existing file first and does not flush, so it writes to a new name here.

    Raises:
        UserError: the file can't be written.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.stem}.partial.ckpt")
    try:
        ms.save_checkpoint([{"name": p.name, "data": p} for p in parameters], str(partial))
        partial.chmod(0o644)
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    except (OSError, RuntimeError) as error:
        partial.unlink(missing_ok=True)
        raise UserError(f"checkpoint {path}: can't be written ({_first_line(error)})") from error
    return path


def prune(folder: str | Path, keep: int, pattern: str = "*.ckpt") -> list[Path]:
    """Delete all but the ``keep`` newest checkpoints of ``folder`` by name (0: none) and return the deleted ones."""
    old = sorted(Path(folder).glob(pattern))[:-keep] if keep > 0 else []
    for path in old:
        path.unlink()
    return old


def _shape(parameter: Parameter) -> str:
    return "x".join(map(str, parameter.shape)) or "a scalar"


def _some(names: list[str], separator: str = ", ") -> str:
    return separator.join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
