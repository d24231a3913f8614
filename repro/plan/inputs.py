"""Gather what a prediction starts from, each number with its origin: measured, given, published or assumed."""

import argparse
import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from statistics import fmean

from repro.errors import ReproError
from repro.footprint import RANK_MEMORY
from repro.plan.bench_file import BenchFile, read_bench
from repro.plan.prediction import ALL_REDUCES, AVERAGED_BYTES, TrainingFacts
from repro.published.document import read_statements
from repro.published.figures import read_published

LINK_GBPS, LATENCY_US = 100.0, 5.0  # if nothing is given
_PUBLISHED_CARDS = 8
_WHAT = ("step", "input", "evaluate")  # what hlg.bench measures


class Origin(StrEnum):
    """The source of a number."""

    MEASURED = "measured"
    GIVEN = "given"
    PUBLISHED = "published"
    ASSUMED = "assumed"
    COUNTED = "counted"


_Found = tuple[float | None, Origin, object]  # a value, None if there is none; its origin, and more closely its source


@dataclass(frozen=True)
class Quantity:
    """A number with its unit and where it is from."""

    title: str
    value: float
    unit: str
    origin: Origin
    source: str


@dataclass(frozen=True)
class Inputs:
    """Everything that a prediction starts from: the quantities by name, and the facts made of them."""

    quantities: Mapping[str, Quantity]
    facts: TrainingFacts
    cards: int
    differs: tuple[str, ...]  # how the measured step differs from the published one
    warnings: tuple[str, ...]

    def assumed(self, name: str) -> bool:
        """Tell whether a quantity is neither measured nor given nor published."""
        return self.quantities[name].origin is Origin.ASSUMED


def read_inputs(options: argparse.Namespace) -> Inputs:
    """Take each quantity from the command line, from its files, from the published text, or else from an assumption.

    Raises:
        ReproError: The message names the file and the key, or the option, that is wrong.
    """
    return _Reader(options).read()


class _Reader:
    def __init__(self, options: argparse.Namespace) -> None:
        self.o = options
        self.step, self.input, self.evaluate = (
            read_bench(path, what) if (path := getattr(options, what)) else None for what in _WHAT
        )
        if self.step and (options.step_ms or options.batch):
            raise ReproError(f"--step-ms, --batch: {options.step} has measured both; omit these options, or the file")
        self.figure = next(figure for figure in read_published() if figure.key == "train_step_time")
        self.data = self.figure.setting.data
        self.said = read_statements()
        self.quantities: dict[str, Quantity] = {}
        self.warnings: list[str] = []

    def pick(self, name: str, title: str, unit: str, *found: _Found) -> float:
        """Record and return the first of these values that there is."""
        for value, origin, source in found:
            if value is not None:
                self.quantities[name] = Quantity(title, value, unit, origin, str(source))
                return value
        raise AssertionError(f"{name}: the last of its values is always there")

    def option(self, name: str) -> _Found:
        return getattr(self.o, name), Origin.GIVEN, f"--{name.replace('_', '-')}"

    def text(self, key: str) -> tuple[float, Origin, object]:
        """Find a number in the published text."""
        return float(self.said[key].value), Origin.PUBLISHED, self.said[key].source

    def number(self, bench: BenchFile | None, key: str, scale: float = 1.0) -> _Found:
        return scale * bench.number(key) if bench else None, Origin.MEASURED, bench.path if bench else ""

    def files(self, bench: BenchFile | None, key: str, scale: float = 1.0) -> _Found:
        """Find a number about the user's own files, not about drawn ones."""
        return self.number(bench if bench and not bench.found.get("drawn") else None, key, scale)

    def read(self) -> Inputs:
        pick, option, text, number = self.pick, self.option, self.text, self.number
        size = self.image_size()
        per_machine = int(pick("cards", "cards of a machine", "cards", option("cards"), text("table_devices")))
        alone = 1, Origin.ASSUMED, "as the published run"
        machines = int(pick("nodes", "machines", "machines", option("nodes"), alone))
        batch = int(
            pick(
                *("batch", "images a card and step", "images"),
                *(number(self.step, "batch_size"), option("batch"), text("batch_size")),
            )
        )
        step_s, step_cards = self.device_step()
        workers = self.workers()
        rate = self.rate()
        facts = TrainingFacts(
            batch=batch,
            step_s=step_s,
            step_cards=step_cards,
            rate=rate,
            cores=self.cores(workers * per_machine),
            workers=workers,
            shared=self.step is not None and self.step.of("device", "target") == "CPU",
            link=pick(
                *("link", "slowest link between cards", "Gbit/s", option("link_gbps")),
                (LINK_GBPS, Origin.ASSUMED, "a port of 100 Gigabit Ethernet for each card"),
            )
            / 8e-9,
            latency_s=pick(
                *("latency", "latency of a hop", "us", option("latency_us")),
                (LATENCY_US, Origin.ASSUMED, "a switched network with RDMA"),
            )
            / 1e6,
            averaged=round(
                pick(
                    *("averaged", "gradients and moving statistics", "MB", number(self.step, "averaged_bytes", 1e-6)),
                    (
                        AVERAGED_BYTES / 1e6,
                        Origin.COUNTED,
                        "as hlg.runtime.collective averages the published network, float32",
                    ),
                )
                * 1e6
            ),
            averages=int(self.step.number("averages")) if self.step else ALL_REDUCES,
            images=self.count("images", "images to train on", self.input, "train"),
            eval_images=self.count("eval_images", "images to evaluate", self.evaluate, "eval"),
            eval_rate=self.eval_rate(),
            eval_core_rate=math.inf if self.quantities["rate"].origin is Origin.ASSUMED else rate,
            epochs=int(pick("epochs", "epochs", "epochs", option("epochs"), text("max_epoch"))),
            start_s=self.step.number("compile_time_s") if self.step else 0.0,
            per_machine=per_machine,
            image_size=size,
        )
        published = self.said["train_size"]
        pick(
            *("image_bytes", "size of an image", "kB", self.files(self.input, "mean_file_bytes", 1e-3)),
            (
                float(published.value) * 1e6 / self.data["train"].images,
                Origin.PUBLISHED,
                f"{published.source}: {published.value:g} G",
            ),
        )
        self.memory()
        return Inputs(self.quantities, facts, per_machine * machines, tuple(self.differs()), tuple(self.warnings))

    def image_size(self) -> int:
        sizes = {b.path: b.count("config", "train_image_size") for b in (self.step, self.input) if b}
        if len(set(sizes.values())) > 1:
            text = ", ".join(f"{path} at {size} pixels" for path, size in sizes.items())
            raise ReproError(f"--step, --input: measured {text}; measure both with one train_image_size")
        return next(iter(sizes.values()), 224)

    def device_step(self) -> tuple[float, int]:
        """Find the seconds of a step, and how many cards took it."""
        cards = 1 if self.step or self.o.step_ms else _PUBLISHED_CARDS
        step, origin, source = self.number(self.step, "median_s", 1000)
        if self.step:
            source = f"{source}: {self.step.of('device', 'target')}, n = {len(self.step.found.get('times_s') or [])}"
        elif self.o.step_ms:
            cards = self.o.step_cards
        published = f"{self.figure.source.split(';')[0]}: {cards} x {self.figure.setting.hardware}, all-reduce in it"
        found = self.pick(
            *("step", "step on the device", "ms", (step, origin, source)),
            (self.o.step_ms, Origin.GIVEN, f"--step-ms, of {cards} card{'s' if cards > 1 else ''}"),
            (self.figure.value, Origin.PUBLISHED, published),
        )
        return found / 1000, cards

    def rate(self) -> float:
        drawn = " (drawn images, not yours)" if self.input and self.input.found.get("drawn") else ""
        measured, origin, source = self.number(self.input, "images_per_s_per_core")
        batch, workers, step = self.text("batch_size")[0], self.text("train_num_workers")[0], self.figure.value
        if self.input and not self.o.input_rate:
            busy, threads = self.input.number("cores_busy"), self.input.count("config", "train_num_workers")
            at_most = min(self.input.count("cpu", "cores"), threads)
            if busy < 0.8 * at_most:
                self.warnings.append(
                    f"{self.input.path}: {busy:.1f} of {at_most} cores were busy; other work, a quota or slow storage "
                    "had the rest, so that images come more slowly than is predicted from what a core does."
                )
        return self.pick(
            *("rate", "images a core prepares", "images/s", self.option("input_rate")),
            (measured, origin, f"{source}{drawn}"),
            (
                1000 * batch / step / workers,
                Origin.ASSUMED,
                f"that {workers:g} workers a card just kept up with {step:g} ms",
            ),
        )

    def workers(self) -> int:
        own, none = self.input or self.step, (None, Origin.GIVEN, "")
        configured = (
            (float(own.count("config", "train_num_workers")), Origin.GIVEN, f"{own.path}: configured") if own else none
        )
        found = configured, self.text("train_num_workers")
        return int(self.pick("workers", "workers a card", "threads", self.option("workers"), *found))

    def cores(self, workers: int) -> float:
        own, none = self.input or self.step, (None, Origin.MEASURED, "")
        counted = (float(own.count("cpu", "cores")), Origin.MEASURED, own.path) if own else none
        assumed = (float(workers), Origin.ASSUMED, "one for each worker")
        return self.pick("cores", "cores of a machine", "cores", self.option("cores"), counted, assumed)

    def count(self, name: str, title: str, bench: BenchFile | None, split: str) -> int:
        published = (float(self.data[split].images), Origin.PUBLISHED, "ImageNet2012")
        return int(self.pick(name, title, "images", self.files(bench, "images"), published))

    def eval_rate(self) -> float:
        cost = fmean(float(said.value) for key, said in self.said.items() if key.startswith("eval_cost, line"))
        source = f"training log, lines 266 to 272: {cost:.2f} s on {_PUBLISHED_CARDS} cards"
        return self.pick(
            *("eval_rate", "images a card evaluates", "images/s", self.number(self.evaluate, "images_per_s")),
            (self.data["eval"].images / cost / _PUBLISHED_CARDS, Origin.PUBLISHED, source),
        )

    def memory(self) -> None:
        """Find the host's memory for each card: what both measured processes had together, more than a training has."""
        both = [bench for bench in (self.step, self.input) if bench]
        peak = sum(bench.number("peak_memory_bytes") for bench in both) / 1e9 if len(both) == 2 else None
        self.pick(
            *("memory", "host memory a card", "GB"),
            (peak, Origin.MEASURED, "the most of both measurements together: at most this"),
            (RANK_MEMORY / 1e9, Origin.ASSUMED, "what make doctor asks for"),
        )

    def differs(self) -> list[str]:
        """List settings of the measured step that differ from those of the published one."""
        if not self.step:
            batch = self.quantities["batch"].value
            return [] if batch == self.text("batch_size")[0] else [f"batch_size {batch:g}, published 128"]
        workload = self.figure.setting.workload
        own = {key: self.step.of("config", key) for key in workload}
        return [f"{key} {own[key]}, published {value}" for key, value in workload.items() if own[key] != value]
