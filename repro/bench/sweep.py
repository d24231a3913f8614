"""Say what is measured of a device: each kind of work in each precision, batch and number of cards."""

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from repro.errors import ReproError

TARGETS = {"cpu": "CPU", "gpu": "GPU", "ascend": "Ascend"}
PRECISIONS = ("O0", "O2", "O3")
BATCHES = {"cpu": "1 8", "gpu": "32 64 128", "ascend": "32 64 128"}
WORK = ("training", "inference")
WARM_UP = 5  # repetitions that do not count: memory, kernels, and the batches that were made ahead
MOST = 65536  # images of a batch, as hlg has it
# Keys that the sweep sets itself, and what says them.
_TAKEN = {"batch_size": "BATCHES", "amp_level": "AMP", "dataset_path": "IMAGENET", "eval_path": "IMAGENET"}
_TAKEN |= {
    "device_target": "the target",
    "run_distribute": "CARDS",
    "config_path": "the command",
    "device_id": "DEVICES",
}
_PROGRAMS = {
    ("training", False): "step",
    ("training", True): "fed_step",
    ("inference", False): "forward",
    ("inference", True): "fed_forward",
}


@dataclass(frozen=True)
class Configuration:
    """One thing that is measured, by processes of its own: `cards` of them."""

    work: str
    files: bool  # images come from files through the input pipeline, or else are random numbers
    precision: str
    batch: int
    cards: int

    def __str__(self) -> str:
        cards = f", {self.cards} cards" if self.cards > 1 else ""
        return f"{self.work}{' from files' if self.files else ''}, {self.precision}, batch {self.batch}{cards}"

    @property
    def stem(self) -> str:
        """The name of its files."""
        return f"{_PROGRAMS[self.work, self.files]}_{self.precision}_b{self.batch}_x{self.cards}"


@dataclass(frozen=True)
class Sweep:
    """All that is measured by one command."""

    device: str
    batches: tuple[int, ...]
    precisions: tuple[str, ...]
    cards: tuple[int, ...]
    steps: int
    imagenet: str = ""
    keys: tuple[str, ...] = ()

    def configurations(self) -> list[Configuration]:
        """Return them, one card first, so that the first ones already say something."""
        files = (False, True) if self.imagenet else (False,)
        parts = product(self.cards, self.precisions, self.batches, files, WORK)
        return [Configuration(work, fed, level, batch, cards) for cards, level, batch, fed, work in parts]

    def measure_words(self, one: Configuration) -> list[str]:
        """Return the words of hlg.bench that measure a configuration, without the file for its result."""
        words = [_PROGRAMS[one.work, one.files], "--steps", str(self.steps), "--warm_up", str(WARM_UP), *self.keys]
        words += ["--device_target", TARGETS[self.device], "--amp_level", one.precision, "--batch_size", str(one.batch)]
        if one.files:
            words += [
                "--dataset_path",
                str(Path(self.imagenet, "train")),
                "--eval_path",
                str(Path(self.imagenet, "val")),
            ]
        return words

    def command(self, one: Configuration, file: Path, logs: Path) -> list[str]:
        """Return the command that measures a configuration."""
        launch = (sys.executable, "-m", "hlg.launch", "--ranks", str(one.cards), "--logs", str(logs), "hlg.bench")
        return [*launch, *self.measure_words(one), "--json", str(file)]


def read_batches(text: str) -> tuple[int, ...]:
    """Read a list of batch sizes. Raises ReproError."""
    return tuple(_number("--batches", word, MOST) for word in _words("--batches", text, "32 64 128"))


def read_precisions(text: str) -> tuple[str, ...]:
    """Read a list of precisions. Raises ReproError."""
    words = _words("--amp", text, " ".join(PRECISIONS))
    for word in words:
        if word not in PRECISIONS:
            raise ReproError(f"--amp: found {word!r}; allowed: {', '.join(PRECISIONS)}")
    return tuple(words)


def read_cards(text: str) -> tuple[int, ...]:
    """Read how many cards there are; return 1, 2, 4, ... up to that, so that scaling shows. Raises ReproError."""
    most = _number("--cards", text, 4096)
    return tuple(sorted({2**i for i in range(most.bit_length())} | {most}))


def read_steps(text: str) -> int:
    """Read the number of repetitions that count. Raises ReproError."""
    return _number("--steps", text, 1_000_000)


def read_keys(words: Sequence[str]) -> tuple[str, ...]:
    """Check the keys of the configuration, such as `--seed=2`. Raises ReproError for one that the sweep sets."""
    for word in words:
        name = word.removeprefix("--").partition("=")[0]
        if name in _TAKEN:
            raise ReproError(f"{name}: found {word.partition('=')[2]!r}, but {_TAKEN[name]} sets it here; leave it out")
    return tuple(words)


def _words(option: str, text: str, example: str) -> list[str]:
    words = text.split()
    if not words or len(set(words)) < len(words):
        raise ReproError(f'{option}: found {text!r}; allowed: different ones with blanks between, such as "{example}"')
    return words


def _number(option: str, text: str, most: int) -> int:
    if not re.fullmatch(r"[0-9]{1,7}", text) or not 1 <= int(text) <= most:
        raise ReproError(f"{option}: found {text!r}; allowed: whole numbers from 1 to {most}")
    return int(text)
