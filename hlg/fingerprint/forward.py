"""The forward pass: weights as they are drawn, every operator group in evaluation, the losses."""

from collections.abc import Iterator

import mindspore as ms
import numpy as np
from mindspore import Tensor

from hlg.checkpoint.weights import published_name
from hlg.fingerprint import golden, synthetic
from hlg.fingerprint.bounds import Judge, Row, exact
from hlg.fingerprint.probes import tap
from hlg.model.loss import build_loss
from hlg.model.network import build_network

SPREAD = 4  # standard errors that a standard deviation may be off by
CUT = 0.04  # dense weights lie within it


def initial_weights() -> Iterator[Row]:
    """Weights as a run starts with them, by what they are drawn from."""
    start = {p.name: p.asnumpy() for p in build_network(synthetic.CLASSES, synthetic.SIZE).get_parameters()}
    for name, value, leaves in (
        ("zeros", 0, ("bias", "beta", "moving_mean")),
        ("ones", 1, ("gamma", "moving_variance")),
    ):
        wrong = [n for n, v in start.items() if n.endswith(leaves) and (v != value).any()]
        yield exact("initial weights", "", name, wrong)
    matrices = {n: v for n, v in start.items() if n.endswith("weight")}
    # A normal cut at two sigmas has 0.8796 of its standard deviation, a uniform one of +-1 has 1/sqrt(3).
    dense = {n: v / (0.02 * 0.87962566) for n, v in matrices.items() if v.ndim == 2}
    kernels = {n: v * np.sqrt(np.prod(v.shape[1:]) * 3) for n, v in matrices.items() if v.ndim == 4}
    embeddings = {n: v for n, v in start.items() if n.endswith(("position", "cls"))}
    yield _spread("dense", dense, CUT / (0.02 * 0.87962566))
    yield _spread("convolutions", kernels, 3**0.5)
    yield _spread("embeddings", embeddings, np.inf)


def _spread(name: str, drawn: dict[str, np.ndarray], limit: float) -> Row:
    """How far the worst standard deviation is from 1, in standard errors; inf where a value is beyond ``limit``."""
    errors = {
        n: float("inf") if np.abs(v).max() > limit * (1 + 1e-6) else float(abs(v.std() - 1) * (2 * v.size) ** 0.5)
        for n, v in drawn.items()
        if v.size > 1000
    }
    worst = max(errors, key=errors.__getitem__)
    several = SPREAD + 0.5 * np.log10(len(errors))  # the largest of several strays further
    return Row("initial weights", "", name, errors[worst], float(several), "standard errors of a sample", worst)


class Forward:
    """The real network with taps, compiled once for any number of salts."""

    def __init__(self, amp_level: str) -> None:
        self.network = build_network(synthetic.CLASSES, synthetic.SIZE, amp_level)
        self.weights = {published_name(p.name): p for p in self.network.get_parameters()}  # taps rename them
        self.kept = tap(self.network, synthetic.BATCH, synthetic.SIZE)
        self.network.set_train(False)

    def rows(self, judge: Judge) -> Iterator[Row]:
        """A row for each operator group, in the order in which data flows."""
        golden.set_parameters(self.weights, judge.salt)
        self.network(Tensor(synthetic.images(synthetic.BATCH, synthetic.SIZE, judge.salt))).asnumpy()
        for key, parameter in self.kept.items():
            _, place, name = key.split("/")
            yield judge.against("forward", place_in_words(place), name, {"": (key, parameter.asnumpy())})


def place_in_words(place: str) -> str:
    """``1.0`` is stage 1, block 0."""
    stage, _, block = place.partition(".")
    if not stage.isdigit():
        return stage
    return f"stage {stage} block {block}" if block else f"stage {stage}"


def losses(judge: Judge) -> Iterator[Row]:
    """The losses of logits made by rule."""
    logits, (a, b) = Tensor(synthetic.logits(judge.salt)), (Tensor(label) for label in synthetic.labels(judge.salt))
    for name in ("ce_smooth_mixup", "ce_smooth"):
        loss = build_loss(name, synthetic.CLASSES, synthetic.SMOOTHING)(logits, a, b, Tensor(synthetic.LAM, ms.float32))
        yield judge.against("loss", "", name, {"": (f"loss/{name}", loss.asnumpy())})
