"""Predict a training by arithmetic: what a step waits for, how long an epoch takes, where more cards stop helping.

Units are seconds, bytes and images. ASSUMPTIONS says in words what is assumed.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

# What a step averages over the ranks: 6,147,657 gradients, 3,200 moving statistics and the loss, in float32, in so many
# all-reduces. Held against the network by tests/hlg/runtime/test_collective.py.
AVERAGED_BYTES, ALL_REDUCES = 24_603_432, 4
STATE = 4  # float32 numbers a parameter: itself, its gradient, two moments
_BATCHES_IN_MEMORY = 5  # those under way (BATCHES_AHEAD of hlg.data.loader) and the one in use
_PIXEL_BYTES = 3
EXPOSED = 0.1  # the share of a step from which on the network counts as a limit
PUBLISHED_BATCH = 1024  # images a step, over all cards, at which the published accuracy was reached
_MOST_CARDS = 1 << 16
_ROUNDING = 1e-9  # of a step: less is an error of the arithmetic, not a wait

ASSUMPTIONS = (
    "A step waits for its images or for the device, whichever takes longer: batches are made ahead of their use. On a "
    "CPU the same cores do both, for all ranks of a machine, so that the times add up.",
    "The all-reduce is a ring over all cards: each sends 2 (n - 1) / n of the volume over the slowest link, in "
    "2 (n - 1) hops of the latency for each all-reduce. None of it is hidden behind the backward pass, which is an "
    "upper bound.",
    "A step's time on the device is proportional to the images of a card. Small batches use a device less well, so "
    "that fewer images a card take longer than this says.",
    "The copy of a batch to the device, a slow or cold disk and the saving of checkpoints cost nothing.",
    "What is left of an epoch's images after its last whole global batch is dropped, as in training.",
)


@dataclass(frozen=True)
class TrainingFacts:
    """The inputs of a prediction.

    `step_s` is measured with `batch` images on each of `step_cards` cards whose images are at hand; with more than one
    it includes their all-reduce. `shared`: the device is the cores of the machine, which make the images as well.
    """

    batch: int
    step_s: float
    step_cards: int
    rate: float  # images that a core prepares in a second
    cores: float  # of a machine
    workers: int  # threads that prepare images, of each card
    shared: bool
    link: float  # bytes a second, of the slowest link of the ring in each direction
    latency_s: float
    averaged: int
    averages: int
    images: int
    eval_images: int
    eval_rate: float  # images a second and card
    eval_core_rate: float  # images that a core prepares to be evaluated
    epochs: int
    start_s: float  # compilation, once
    per_machine: int
    image_size: int = 224

    def __post_init__(self) -> None:
        if self.compute_s(self.batch) <= 0:
            raise ValueError(
                f"the all-reduce of {self.step_cards} cards alone would take "
                f"{1000 * self.all_reduce_s(self.step_cards):.4g} ms of a step of {1000 * self.step_s:.4g} ms"
            )

    def all_reduce_s(self, cards: int) -> float:
        """Return the time of a step's all-reduce."""
        hops = 2 * (cards - 1)
        return hops / cards * self.averaged / self.link + self.averages * hops * self.latency_s

    def compute_s(self, batch: int) -> float:
        """Return the time of a step of so many images a card, without all-reduce and wait."""
        return (self.step_s - self.all_reduce_s(self.step_cards)) * batch / self.batch


@dataclass(frozen=True)
class Prediction:
    """The times of a training on `cards` cards with `batch` images on each."""

    cards: int
    batch: int
    machines: int
    compute_s: float  # of a step: on the device
    all_reduce_s: float
    input_s: float  # what its images take the cores that a card has
    step_s: float
    steps: int  # an epoch
    eval_s: float
    total_s: float  # all epochs, their evaluations, compilation
    shared: bool

    @property
    def global_batch(self) -> int:
        """Images of a step on all cards."""
        return self.cards * self.batch

    @property
    def wait_s(self) -> float:
        """The part of a step that waits for images or, on a CPU, makes them."""
        left = self.step_s - self.compute_s - self.all_reduce_s
        return left if left > _ROUNDING * self.step_s else 0.0

    @property
    def epoch_s(self) -> float:
        """The time of an epoch without evaluation, as the published log counts."""
        return self.steps * self.step_s

    @property
    def images_per_s(self) -> float:
        """Images a second of all cards, in training."""
        return self.global_batch / self.step_s

    @property
    def network_share(self) -> float:
        """The share of a step that is all-reduce."""
        return self.all_reduce_s / self.step_s

    @property
    def bound(self) -> str:
        """The bottleneck of a step: "input", "network" or "compute"."""
        device = self.compute_s + self.all_reduce_s
        if self.input_s > device * (1 + _ROUNDING):
            return "input"
        return "network" if self.all_reduce_s > self.compute_s else "compute"

    @property
    def factor(self) -> float:
        """The bottleneck's time over its counterpart's: input over device, or the reverse."""
        device = self.compute_s + self.all_reduce_s
        one, other = (self.input_s, device) if self.bound == "input" else (device, self.input_s)
        return one / other


def predict_training(facts: TrainingFacts, cards: int, batch: int | None = None) -> Prediction:
    """Predict a training on so many cards, each with `batch` images a step: by default as measured.

    Raises:
        ValueError: An epoch has fewer images than a step.
    """
    f, batch = facts, batch or facts.batch
    here = min(cards, f.per_machine)
    machines = math.ceil(cards / f.per_machine)
    steps = f.images // (cards * batch)
    if not steps:
        raise ValueError(f"{cards} cards with {batch} images each take more than the {f.images:,} images of an epoch")
    compute, all_reduce = f.compute_s(batch), f.all_reduce_s(cards)
    made = batch / (f.rate * min(f.workers, f.cores / here))
    if f.shared:
        compute *= here  # ranks share the cores
        step = compute + made + all_reduce
    else:
        step = max(compute + all_reduce, made)
    evaluated = f.eval_rate * (machines if f.shared else cards)
    eval_s = f.eval_images / (evaluated if f.shared else min(evaluated, machines * f.cores * f.eval_core_rate))
    return Prediction(
        cards,
        batch,
        machines,
        compute,
        all_reduce,
        made,
        step,
        steps,
        eval_s,
        f.start_s + f.epochs * (steps * step + eval_s),
        f.shared,
    )


def cores_needed(facts: TrainingFacts, cards: int, batch: int | None = None) -> float:
    """Return the cores that each card needs to get its images in time; on a CPU there is no such number."""
    made = predict_training(facts, cards, batch)
    return made.batch / facts.rate / (made.compute_s + made.all_reduce_s)


def cards_fed(facts: TrainingFacts, cards: int, batch: int | None = None) -> float:
    """Return how many cards the cores of one machine keep busy."""
    return facts.cores / cores_needed(facts, cards, batch)


def _doublings(facts: TrainingFacts, keep_global: bool) -> Iterator[Prediction]:
    cards = 2
    while cards <= (min(PUBLISHED_BATCH, _MOST_CARDS) if keep_global else _MOST_CARDS):
        batch = PUBLISHED_BATCH // cards if keep_global else facts.batch
        if facts.images < cards * batch:
            return
        yield predict_training(facts, cards, batch)
        cards *= 2


def network_limit(facts: TrainingFacts, keep_global: bool = False) -> Prediction | None:
    """Find the fewest cards, doubling from 2, whose step is all-reduce by more than EXPOSED; None if there are none."""
    return next((found for found in _doublings(facts, keep_global) if found.network_share > EXPOSED), None)


def slowest_link(facts: TrainingFacts, cards: int, batch: int | None = None) -> float:
    """Return the bytes a second at which all-reduce is EXPOSED of a step; infinite if the latency alone is more."""
    if cards == 1:
        return 0.0
    made = predict_training(facts, cards, batch)
    allowed = (made.compute_s + made.input_s * made.shared) * EXPOSED / (1 - EXPOSED)
    latency = replace(facts, link=math.inf).all_reduce_s(cards)
    if allowed <= latency:
        return math.inf
    return 2 * (cards - 1) / cards * facts.averaged / (allowed - latency)


def buffer_bytes(facts: TrainingFacts, batch: int) -> int:
    """Return the bytes of the batches that a card's loader holds."""
    return _BATCHES_IN_MEMORY * batch * facts.image_size**2 * _PIXEL_BYTES
