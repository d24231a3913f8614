"""Export a checkpoint as MINDIR, ONNX or safetensors.

The file is loaded again in a fresh process and compared with the network on images before it gets its name.
"""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import mindspore as ms
import numpy as np
from mindspore import Tensor
from safetensors.numpy import save_file

from hlg.checkpoint.store import CLASSES
from hlg.checkpoint.weights import load_weights
from hlg.config import Config
from hlg.console import say
from hlg.data.classes import OutputClasses, classes_to_text
from hlg.data.index import ImageIndex, scan
from hlg.data.loader import NEEDED
from hlg.data.tiny import drawing
from hlg.errors import UserError
from hlg.files import sha256_of
from hlg.model.network import HLG, build_network
from hlg.model.normalize import MEAN, STD, Normalize
from hlg.runtime import device
from hlg.training.build import build_eval_loader

IMAGES = 16  # that are compared
TOLERANCE = {"O0": 1e-4, "O2": 1e-2, "O3": 1e-2}  # of the largest logit: float32, float16
SUFFIXES = {"MINDIR": ".mindir", "ONNX": ".onnx", "SAFETENSORS": ".safetensors"}
EXPORTED = ("hlg.run_exported",)  # the program that runs the exported file
CHECK_TIMEOUT_S = 1800


def export(config: Config, path: Path) -> None:
    """Write ``config.file_name`` and, beside it, a JSON file that says what it was made from and how to use it.

    Raises:
        UserError: a checkpoint at ``path`` that doesn't fit, a file that can't be made or whose logits are not the
            network's; nothing is left then.
    """
    target = exported_file(config)
    device.start(config)
    network = build_network(config.class_num, config.train_image_size, config.amp_level)
    network.set_train(False)
    loaded = load_weights(path, network)
    batches, source = comparison_images(config)
    expected = np.concatenate([network(Tensor(batch)).asnumpy() for batch in batches])
    groupings = [batches]
    if config.file_format == "ONNX":  # for any number of images: all of them too, or single ones
        count = 1 if len(batches) > 1 else len(expected)
        groupings.append(batches.reshape(count, -1, *batches.shape[2:]))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{target.stem}-", dir=target.parent) as folder:
            new = Path(folder) / target.name
            size, names = write_network(config, network, new, loaded.classes)
            difference = 0.0
            for images in groupings:
                difference = max(relative_error(run_exported_file(config, new, images), expected), difference)
                if not difference <= TOLERANCE[config.amp_level]:
                    raise UserError(
                        f"{target}: not written, because its logits are not the network's: relative error "
                        f"{difference:.3g}, allowed {TOLERANCE[config.amp_level]:g}, on {len(expected)} {source}, "
                        f"{images.shape[1]} at a time"
                    )
            taken, given = (size, *batches.shape[2:]), (size, expected.shape[1])
            facts = {
                "format": config.file_format,
                "sha256": sha256_of(new),
                "input": {"shape": taken, "type": "float32", "channels": "RGB", "mean": MEAN, "std": STD},
                "output": {"shape": given, "type": str(expected.dtype), "meaning": "logits"},
                **names,
                "classes": loaded.classes.told,  # the class folder of each output, or only the hash of their list
                "checkpoint": {key: getattr(loaded, key) for key in ("path", "sha256", "naming", "prefix")},
                "amp_level": config.amp_level,
                "mindspore": ms.__version__,
                "compared": {"images": len(expected), "of": source, "relative_error": difference},
            }
            described = Path(folder) / f"{target.name}.json"
            described.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
            new.chmod(described.stat().st_mode)  # MindSpore makes its files private, and read-only
            described.replace(target.with_name(described.name))
            new.replace(target)
    except OSError as error:
        raise UserError(f"{target}: can't be written ({error.strerror or error})") from None
    say(loaded)
    if loaded.classes.told is None:
        say(f"warning: {loaded.classes.source} names no classes, so {target} can't say what its outputs mean")
    say(
        f"{target}: {config.file_format}, float32 {taken} -> {given}, relative error {difference:.3g} on "
        f"{len(expected)} {source}, sha256 {str(facts['sha256'])[:8]}"
    )


def exported_file(config: Config) -> Path:
    """``file_name`` with the suffix of its format; the suffix of another format is replaced."""
    path, suffix = Path(config.file_name), SUFFIXES[config.file_format]
    if path.suffix == suffix:
        return path
    return path.with_suffix(suffix) if path.suffix in SUFFIXES.values() else path.with_name(path.name + suffix)


def comparison_images(config: Config) -> tuple[np.ndarray, str]:
    """Normalized batches, float32 (n, batch_size, 3, S, S), prepared as for evaluation, and their source in words.

    The images are spread evenly over ``eval_path`` or, where that is empty, drawn.
    """
    with tempfile.TemporaryDirectory() as folder:
        if config.eval_path:
            index = scan(config.eval_path, config.class_num)
            root, files, source = index.root, list(index.files), f"images of {index.root}"
        else:
            root, files, source = Path(folder), [f"{i}.png" for i in range(IMAGES)], "drawn images"
            for i, file in enumerate(files):
                rng = np.random.default_rng(i)
                drawn = drawing.draw_image(i % len(drawing.CLASSES), rng)
                (root / file).write_bytes(drawing.encode_image(drawn, rng, "PNG"))
        count = -(-IMAGES // config.batch_size) * config.batch_size
        chosen = [files[k] for k in np.linspace(0, len(files) - 1, count).round().astype(int)]
        shown = replace(
            config,
            eval_image_size=config.train_image_size,
            eval_batch_size=config.batch_size,
            on_unreadable=NEEDED,
        )
        loader = build_eval_loader(shown, ImageIndex(root, (), tuple(chosen), np.zeros(count, np.int32), ()))
        normalize = Normalize()
        return np.stack([normalize(Tensor(batch.images)).asnumpy() for batch in loader]), source


def write_network(config: Config, network: HLG, path: Path, classes: OutputClasses) -> tuple[int | str, dict[str, Any]]:
    """Write the network; as safetensors its parameters alone, under our names.

    What its outputs mean goes into the file where the format has a place for it, which MINDIR has not.

    Returns:
        The batch size that the file takes, and what else a user of the format must know.
    """
    told = {} if classes.told is None else {CLASSES: classes_to_text(classes.told)}
    if config.file_format == "SAFETENSORS":
        arrays = {p.name: p.asnumpy() for p in network.get_parameters()}
        save_file(arrays, path, {"format": "np", "model": "HLG-Mobile", **told})
        return "batch", {}
    try:
        if config.file_format == "ONNX":
            from hlg.inference import onnx_graph  # here, because it needs the package onnx

            return onnx_graph.BATCH, onnx_graph.write_onnx(network, config.train_image_size, path, told)
        like = np.zeros((config.batch_size, 3, config.train_image_size, config.train_image_size), np.float32)
        ms.export(network, Tensor(like), file_name=str(path), file_format=config.file_format)
        return config.batch_size, {}
    except (RuntimeError, ValueError, TypeError) as error:
        raise UserError(
            f"file_format: MindSpore {ms.__version__} can't write this network as {config.file_format} at amp_level "
            f"{config.amp_level} ({str(error).strip().splitlines()[0]})"
        ) from None


def run_exported_file(config: Config, path: Path, batches: np.ndarray) -> np.ndarray:
    """Compute the logits of the exported file in a fresh process: (n, B, 3, S, S) -> (n*B, class_num)."""
    inputs, outputs = path.with_name("inputs.npy"), path.with_name("outputs.npy")
    np.save(inputs, batches)
    command = [sys.executable, "-m", *EXPORTED, str(path), str(inputs), str(outputs)]
    command += [config.device_target, str(config.class_num), config.amp_level]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MS_", "OMPI_"))}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, errors="replace", timeout=CHECK_TIMEOUT_S, check=False
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise UserError(f"{config.file_name}: not written, because a fresh process can't load or run it ({last})")
    return np.concatenate(np.load(outputs))


def relative_error(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference of a logit relative to the largest logit; nan where one is not finite."""
    a, b = found.astype(np.float64), expected.astype(np.float64)
    if a.shape != b.shape:
        return float("nan")
    return float(np.abs(a - b).max() / np.abs(b).max())
