"""Estimate the memory of a training on a CPU, before the kernel ends it for want of memory. No MindSpore."""

from hlg.config import Config
from hlg.console import note_once
from hlg.errors import UserError
from hlg.limits import usable_memory

# Measured in float32 at 224 pixels, two cores: 2.0, 3.6 and 5.7 GB at the most with 2, 8 and 16 images a step.
PROCESS, IMAGE = 1.5e9, 0.27e9  # bytes: of MindSpore and the network, and of each image of 224 x 224 pixels


def training_memory(config: Config) -> float:
    """Return the bytes that a training on a CPU takes, about."""
    return PROCESS + config.batch_size * _image(config)


def check_training_memory(config: Config) -> None:
    """Refuse a training on a CPU whose batch does not fit into this machine, and warn if others leave too little.

    Raises:
        UserError: it does not fit; the largest batch that does is named.
    """
    memory = usable_memory()
    needed = training_memory(config)
    if config.device_target != "CPU" or memory is None or needed <= memory.free:
        return
    size = config.train_image_size
    said = f"batch_size: {config.batch_size} images of {size} x {size} take about {needed / 1e9:.0f} GB on a CPU"
    if needed <= memory.total:
        note_once(f"{said}, of which {memory.free / 1e9:.0f} GB are free now")
        return
    fitting = int((memory.total - PROCESS) / _image(config))
    advice = f"set it to {fitting} or less" if fitting > 0 else "train on a machine with more memory"
    raise UserError(f"{said}, and this process may use {memory.total / 1e9:.0f} GB: {advice}")


def _image(config: Config) -> float:
    return IMAGE * (config.train_image_size / 224) ** 2
