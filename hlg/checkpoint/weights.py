"""Load weights into a network, by our own names or by the published ones."""

import re
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mindspore import nn

from hlg.checkpoint.store import first_few, read_checkpoint, set_from_arrays, shape_of
from hlg.data.classes import IMAGENET_ORDER, IMAGENET_OUTPUTS, OutputClasses
from hlg.errors import UserError
from hlg.model.optimizer import STATE_PREFIX

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


# What cells that wrap the network put before every name.
_WRAPPERS = re.compile(r"(?:_?(?:network|backbone|module|model|net)\.)+")
_LAST = "head.weight"  # ends a name in either naming


def published_name(name: str) -> str:
    """Return the name that the published model gives to our parameter ``name``."""
    for pattern, rename in _PUBLISHED:
        if match := re.fullmatch(pattern, name):
            return rename(*match.groups())
    raise KeyError(name)


@dataclass(frozen=True)
class LoadReport:
    """The parameters that were loaded from a checkpoint file; ``unused`` names the others in it."""

    path: str
    sha256: str
    naming: str  # "hlg-repro" or "published"
    prefix: str  # what stands before every name in the file, such as "network."; mostly nothing
    used: dict[str, str]  # our name of a parameter -> its name in the file
    unused: tuple[str, ...]
    classes: OutputClasses

    def facts(self) -> dict[str, Any]:
        """The report for ``env.json``, with the hash of the classes alone."""
        return {**asdict(self), "classes": self.classes.order}

    def __str__(self) -> str:
        unused = f", {len(self.unused)} stored but unused" if self.unused else ""
        naming = f"{self.naming} names{f' behind {self.prefix!r}' if self.prefix else ''}"
        return f"{self.path}: {len(self.used)} parameters used ({naming}){unused}, sha256 {self.sha256[:8]}"


def load_weights(path: str | Path, network: nn.Cell) -> LoadReport:
    """Set every parameter of ``network`` from a checkpoint, ours or a published one, also of a cell that wraps it.

    One with the published names was trained on ImageNet, if it has as many outputs and says nothing else.

    Raises:
        UserError: an unreadable file, or one in which a parameter is missing, has another shape, or values that are
            not finite: all are named, and the network is left as it was.
    """
    stored, told, sha256 = read_checkpoint(path)
    own = {p.name: p for p in network.get_parameters()}
    prefix = _prefix(path, stored)
    ours = any(prefix + name in stored for name in own if published_name(name) != name)
    source = {name: prefix + (name if ours else published_name(name)) for name in own}
    missing = [source[name] for name in own if source[name] not in stored]
    wrong = [
        f"{source[name]} is {shape_of(stored[source[name]])} in the file, {shape_of(p)} in the network"
        for name, p in own.items()
        if source[name] in stored and stored[source[name]].shape != p.shape
    ]
    if missing or wrong:
        faults = [f"{len(missing)} parameters are missing: {first_few(missing)}"] if missing else []
        faults += [f"{len(wrong)} have another shape: {first_few(wrong, '; ')}"] if wrong else []
        hint = " (is class_num the checkpoint's?)" if any("head." in fault for fault in wrong) else ""
        raise UserError(f"checkpoint {path} does not fit the network: {'; '.join(faults)}{hint}")
    set_from_arrays(path, stored, {source[name]: parameter for name, parameter in own.items()})
    if told is None and not ours and own["head.bias"].shape[0] in IMAGENET_OUTPUTS:
        told = IMAGENET_ORDER
    used = set(source.values())
    return LoadReport(
        str(path),
        sha256,
        "hlg-repro" if ours else "published",
        prefix,
        source,
        tuple(name for name in stored if name not in used and not (ours and name.startswith(STATE_PREFIX))),
        OutputClasses(f"the checkpoint {path}", told),
    )


def _prefix(path: str | Path, stored: Collection[str]) -> str:
    """Find what stands before the names of one network in a file: nothing, or what cells that wrap it put there.

    Raises:
        UserError: the names stand there only behind something else, or behind several prefixes.
    """
    found = sorted(name.removesuffix(_LAST) for name in stored if name == _LAST or name.endswith(f".{_LAST}"))
    if not found or "" in found:
        return ""
    wrappers = [prefix for prefix in found if _WRAPPERS.fullmatch(prefix)]
    if len(wrappers) != 1:
        raise UserError(
            f"checkpoint {path}: its names begin with {first_few(wrappers or found, ' or ')}, which does not say whose "
            f"weights they are; save those of one network under their own names, {_LAST} among them"
        )
    return wrappers[0]
