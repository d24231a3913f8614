"""Make a plan: a prediction beside the published figures, other scales, limits, and what to change first."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from repro.footprint import USED_PARAMETERS
from repro.plan.inputs import Inputs, Origin
from repro.plan.prediction import (
    ASSUMPTIONS,
    EXPOSED,
    PUBLISHED_BATCH,
    STATE,
    Prediction,
    buffer_bytes,
    cards_fed,
    cores_needed,
    network_limit,
    predict_training,
    slowest_link,
)
from repro.published.figures import read_published

_SCALES = (8, 64, 512)
_PUBLISHED_STEPS = 1251  # an epoch: 1,281,167 images in whole batches of 1024
_BESIDE = ("train_step_time", "train_mean_fps", "train_time", "train_time_hours")


@dataclass(frozen=True)
class PublishedBeside:
    """A published figure, and what is predicted for it."""

    title: str
    published: float
    predicted: float
    unit: str
    source: str


@dataclass(frozen=True)
class Plan:
    """The prediction for the wanted training, and those for other scales."""

    inputs: Inputs
    wanted: Prediction
    kept_batch: tuple[Prediction, ...]  # by cards: each card keeps its images
    kept_global: tuple[Prediction, ...]  # all cards together keep the published 1024 images
    beside: tuple[PublishedBeside, ...]

    @property
    def cores_a_card(self) -> float:
        """Cores that keep one card busy."""
        return cores_needed(self.inputs.facts, self.wanted.cards)

    def sent(self, cards: int) -> float:
        """Return the bytes that a card sends in a step."""
        return 2 * (cards - 1) / cards * self.inputs.facts.averaged

    def images_a_machine(self, found: Prediction) -> float:
        """Return the images a second that the fullest machine needs for its cards to be busy."""
        here = min(found.cards, self.inputs.facts.per_machine)
        return here * found.batch / (found.compute_s + found.all_reduce_s)

    def read(self, found: Prediction) -> float:
        """Return the bytes a second that all machines together read while they train."""
        return found.images_per_s * self.inputs.quantities["image_bytes"].value * 1000


def make_plan(inputs: Inputs) -> Plan:
    """Make the plan. Raises ValueError if an epoch has fewer images than a step of the wanted cards takes."""
    facts, cards = inputs.facts, inputs.cards
    wanted = predict_training(facts, cards)
    scales = sorted({*_SCALES, cards})
    return Plan(
        inputs,
        wanted,
        tuple(predict_training(facts, n) for n in scales if n * facts.batch <= facts.images),
        tuple(predict_training(facts, n, PUBLISHED_BATCH // n) for n in scales if n <= PUBLISHED_BATCH <= facts.images),
        tuple(_beside(wanted)),
    )


def _beside(wanted: Prediction) -> list[PublishedBeside]:
    figures = {figure.key: figure for figure in read_published()}
    predicted = (1000 * wanted.step_s, wanted.images_per_s, wanted.total_s, wanted.total_s / 3600)
    return [
        PublishedBeside(figures[key].title, figures[key].value, value, figures[key].unit, figures[key].source)
        for key, value in zip(_BESIDE, predicted, strict=True)
    ]


def limits(plan: Plan) -> list[str]:
    """Say where input, network and batch size stop helping, in a sentence each."""
    facts, wanted = plan.inputs.facts, plan.wanted
    here = facts.per_machine
    if facts.shared:
        share = wanted.input_s / wanted.step_s
        first = f"making images takes {100 * share:.0f} % of a step from the cores that compute; more ranks add nothing"
    else:
        fed = cards_fed(facts, wanted.cards)
        # An exact fit stands in the published figures, whose rounding must not make it one card less.
        first = (
            f"{facts.cores:g} cores feed {math.floor(fed + 1e-6)} cards at this step ({fed:.2f}); more cards in a "
            f"machine wait. {here} need {plan.cores_a_card * here:.1f}"
        )
    kept, shrunk = network_limit(facts), network_limit(facts, keep_global=True)
    link = slowest_link(facts, wanted.cards) * 8 / 1e9
    second = f"{100 * wanted.network_share:.1f} % of a step is all-reduce at {_cards(wanted.cards)}. "
    second += _network(kept, f"With {facts.batch} images a card")
    second += "; " + _network(shrunk, f"with {PUBLISHED_BATCH:,} in all").replace("With", "with") + ". "
    if wanted.cards > 1:
        enough = "no link is fast enough, for the latency" if math.isinf(link) else f"{link:.2g} Gbit/s are enough"
        second += f"For {wanted.cards} cards to stay below that {enough}"
    else:
        second += "One card has no all-reduce"
    most = PUBLISHED_BATCH // facts.batch
    third = (
        f"75.61 % was published at {PUBLISHED_BATCH:,} images a step, {_PUBLISHED_STEPS:,} steps an epoch, which "
        + (f"{_cards(most)} of {facts.batch} images are. " if most else f"are fewer than the {facts.batch} of a card. ")
        + "Beyond, the accuracy is not known: "
    )
    large = plan.kept_batch[-1]
    third += (
        f"{large.cards} cards make {large.global_batch:,} and {large.steps:,} steps an epoch, by the same learning rate"
    )
    return [f"Input: {first}.", f"Network: {second}.", f"Batch: {third}."]


def _cards(count: int) -> str:
    return f"{count:,} card{'s' if count != 1 else ''}"


def _network(found: Prediction | None, start: str) -> str:
    if found is None:
        return f"{start} it stays below {100 * EXPOSED:.0f} % at any number"
    share = 100 * found.network_share
    return f"{start} it is more than {100 * EXPOSED:.0f} % from {_cards(found.cards)} on ({share:.0f} %)"


def advice(plan: Plan) -> str:
    """Say what to change first. The first rule that fits is the answer."""
    inputs, facts, wanted = plan.inputs, plan.inputs.facts, plan.wanted
    here = facts.per_machine
    if inputs.assumed("rate"):
        return (
            "Measure first: that images arrive in time is assumed, not known. make plan IMAGENET=/path measures them "
            "on this machine, with DEVICE= the step as well."
        )
    if wanted.bound == "input" and not facts.shared:
        needed, has = plan.cores_a_card, facts.cores / here
        best = 1000 * (wanted.compute_s + wanted.all_reduce_s)
        if facts.workers < min(needed, has):
            workers = math.ceil(min(needed, has))
            return f"Raise train_num_workers from {facts.workers} to {workers}: cards wait while cores are idle."
        fed = math.floor(cards_fed(facts, wanted.cards))
        fewer = f", or use {fed} cards of a machine" if fed else ""
        return (
            f"More cores for the input: {math.ceil(needed * here)} a machine instead of {facts.cores:g} make a step of "
            f"{best:.0f} ms of {1000 * wanted.step_s:.0f} ms{fewer}."
        )
    if wanted.network_share > EXPOSED:
        link = slowest_link(facts, wanted.cards) * 8 / 1e9
        if math.isinf(link):
            return (
                "More images a card, or fewer cards: the latency of the all-reduce alone is more than 10 % of a step."
            )
        return f"A faster link: {link:.3g} Gbit/s bring the all-reduce to {100 * EXPOSED:.0f} % of a step."
    if wanted.global_batch > PUBLISHED_BATCH and wanted.cards <= PUBLISHED_BATCH:
        kept = predict_training(facts, wanted.cards, PUBLISHED_BATCH // wanted.cards)
        does = (
            "keeps them" if kept.global_batch == PUBLISHED_BATCH else f"comes closest from below, {kept.global_batch:,}"
        )
        return (
            f"The batch: {wanted.global_batch:,} images a step are not the published {PUBLISHED_BATCH:,}. "
            f"batch_size={kept.batch} {does}, in {kept.total_s / 3600:.1f} h, not {wanted.total_s / 3600:.1f} h."
        )
    if facts.shared and wanted.bound == "input":
        return "The input: it takes more of the cores than the training does."
    figures = {figure.key: figure for figure in read_published()}
    published = figures["train_step_time"].value / 1000 / 128
    own = wanted.compute_s / wanted.batch
    if own > 1.03 * published:
        return (
            f"The device: an image takes it {own / published:.3g} times as long as an Ascend 910 of the published run. "
            "Look at amp_level, at other work on it, and at make fingerprint; else it takes another one."
        )
    return "Nothing: the device is busy, and is as fast as the published one."


def plan_record(plan: Plan) -> dict[str, Any]:
    """Convert the plan to what its JSON file holds, with units in the keys."""
    facts, wanted = plan.inputs.facts, plan.wanted

    def numbers(found: Prediction) -> dict[str, Any]:
        own = asdict(found)
        return {
            **{key: own[key] for key in own if key != "shared"},
            "global_batch": found.global_batch,
            "epoch_s": found.epoch_s,
            "images_per_s": found.images_per_s,
            "wait_s": found.wait_s,
            "bound": found.bound,
            "factor": found.factor,
            "network_share": found.network_share,
            "sent_bytes": plan.sent(found.cards),
            "machine_images_per_s": plan.images_a_machine(found),
            "read_bytes_per_s": plan.read(found),
        }

    return {
        "inputs": {name: asdict(quantity) for name, quantity in plan.inputs.quantities.items()},
        "warnings": list(plan.inputs.warnings),
        "differs_from_published": list(plan.inputs.differs),
        "prediction": numbers(wanted),
        "cores_a_card": plan.cores_a_card,
        "buffers_bytes": buffer_bytes(facts, wanted.batch),
        "device_state_bytes": STATE * 4 * USED_PARAMETERS,
        "kept_batch": [numbers(found) for found in plan.kept_batch],
        "kept_global_batch": [numbers(found) for found in plan.kept_global],
        "beside": [asdict(row) for row in plan.beside],
        "limits": limits(plan),
        "change_first": advice(plan),
        "assumptions": [*ASSUMPTIONS],
        "all_known": not any(q.origin is Origin.ASSUMED for q in plan.inputs.quantities.values()),
    }
