"""Check the forward pass: initial weights, every operator group in evaluation, the losses."""

from collections.abc import Iterator

import mindspore as ms
import numpy as np
from mindspore import Tensor

from hlg.checkpoint.weights import published_name
from hlg.fingerprint import synthetic
from hlg.fingerprint.bounds import ReferenceTensors
from hlg.fingerprint.probes import insert_probes
from hlg.fingerprint.rows import FingerprintRow, exact_row
from hlg.fingerprint.synthetic_weights import set_parameters
from hlg.model.loss import build_loss
from hlg.model.network import build_network

SPREAD = 4  # standard errors that a standard deviation may be off by
CUT = 0.04  # dense weights lie within it


def check_initial_weights() -> Iterator[FingerprintRow]:
    """Compare the weights that a run starts with to the distributions that they are drawn from."""
    start = {p.name: p.asnumpy() for p in build_network(synthetic.CLASSES, synthetic.SIZE).get_parameters()}
    for name, value, leaves in (
        ("zeros", 0, ("bias", "beta", "moving_mean")),
        ("ones", 1, ("gamma", "moving_variance")),
    ):
        wrong = [n for n, v in start.items() if n.endswith(leaves) and (v != value).any()]
        yield exact_row("initial weights", name, wrong)
    matrices = {n: v for n, v in start.items() if n.endswith("weight")}
    # A normal cut at two sigmas has 0.8796 of its standard deviation, a uniform one of +-1 has 1/sqrt(3).
    dense = {n: v / (0.02 * 0.87962566) for n, v in matrices.items() if v.ndim == 2}
    kernels = {n: v * np.sqrt(np.prod(v.shape[1:]) * 3) for n, v in matrices.items() if v.ndim == 4}
    embeddings = {n: v for n, v in start.items() if n.endswith(("position", "cls"))}
    yield _spread("dense", dense, CUT / (0.02 * 0.87962566))
    yield _spread("convolutions", kernels, 3**0.5)
    yield _spread("embeddings", embeddings, np.inf)


def _spread(name: str, drawn: dict[str, np.ndarray], limit: float) -> FingerprintRow:
    """How far the worst standard deviation is from 1, in standard errors; inf where a value is beyond ``limit``."""
    errors = {
        n: float("inf") if np.abs(v).max() > limit * (1 + 1e-6) else float(abs(v.std() - 1) * (2 * v.size) ** 0.5)
        for n, v in drawn.items()
        if v.size > 1000
    }
    worst = max(errors, key=errors.__getitem__)
    bound = float(SPREAD + 0.5 * np.log10(len(errors)))  # the largest of many strays further
    return FingerprintRow("initial weights", "", name, errors[worst], bound, "standard errors of a sample", worst)


class ForwardCheck:
    """The real network with probes in it, compiled once for any number of salts."""

    def __init__(self, amp_level: str) -> None:
        self.network = build_network(synthetic.CLASSES, synthetic.SIZE, amp_level)
        self.weights = {published_name(p.name): p for p in self.network.get_parameters()}  # probes rename them
        self.probed = insert_probes(self.network, synthetic.BATCH, synthetic.SIZE)
        self.network.set_train(False)

    def rows(self, reference: ReferenceTensors) -> Iterator[FingerprintRow]:
        """Compare the output of each operator group, in the order in which data flows."""
        set_parameters(self.weights, reference.salt)
        self.network(Tensor(synthetic.draw_images(salt=reference.salt))).asnumpy()
        for (group, name), value in self.probed.items():
            key = f"forward/{group.removeprefix('stage ').replace(' block ', '.')}/{name}"
            yield reference.compare("forward", group, name, {"": (key, value.asnumpy())})


def check_losses(reference: ReferenceTensors) -> Iterator[FingerprintRow]:
    """Compute the losses of synthetic logits."""
    logits = Tensor(synthetic.draw_logits(reference.salt))
    a, b = (Tensor(labels) for labels in synthetic.draw_labels(reference.salt))
    for name in ("ce_smooth_mixup", "ce_smooth"):
        loss = build_loss(name, synthetic.CLASSES, synthetic.SMOOTHING)(logits, a, b, Tensor(synthetic.LAM, ms.float32))
        yield reference.compare("loss", "", name, {"": (f"loss/{name}", loss.asnumpy())})
