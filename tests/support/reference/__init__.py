"""The makers of ``hlg/fingerprint/reference``, against which ``make fingerprint`` compares a machine."""

from pathlib import Path

import numpy as np

from hlg.fingerprint.count_sketch import count_sketch
from tests.support import ROOT

FOLDER = ROOT / "hlg/fingerprint/reference"


class Sketches:
    """Sketches of tensors by key, each with what an error is relative to: the tensor's norm unless a scale is given."""

    def __init__(self) -> None:
        self.kept: dict[str, tuple[np.ndarray, float]] = {}

    def keep(self, key: str, tensor: np.ndarray, scale: float | None = None) -> None:
        self.kept[key] = (count_sketch(key, tensor), float(np.linalg.norm(tensor)) if scale is None else scale)

    def write(self, path: Path, salt: str) -> None:
        """Write them to an .npz file, with the salt of the synthetic weights and inputs."""
        path.parent.mkdir(parents=True, exist_ok=True)
        sketches, scales = zip(*self.kept.values(), strict=True)
        arrays = {"keys": np.array(list(self.kept)), "sketches": np.stack(sketches), "scales": np.array(scales)}
        np.savez_compressed(path, **arrays, salt=np.array(salt))
