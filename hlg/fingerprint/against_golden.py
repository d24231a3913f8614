"""Compare the network with the published implementation's own numbers, kept in a golden file.

The reference itself was checked against them. A golden file of other synthetic weights or batches does as well:
``python -m hlg.fingerprint --golden FILE --salt TEXT``.
"""

from collections.abc import Callable, Iterator

import mindspore as ms
import numpy as np
from mindspore import Tensor

from hlg.checkpoint.weights import published_name
from hlg.errors import UserError
from hlg.fingerprint import synthetic
from hlg.fingerprint.rows import PUBLISHED, FingerprintRow
from hlg.fingerprint.synthetic_weights import set_synthetic_weights
from hlg.model.loss import build_loss
from hlg.model.network import HLG
from hlg.model.optimizer import AdamW
from hlg.model.schedule import learning_rates
from hlg.training.step import Gradients, Update

# float32 on a CPU. Two independent implementations agree to 6e-7 for logits, 5e-6 for the trajectory and 2e-5 for
# the logits after it; the worst gradient and parameter norm were measured at 2e-5 and 5e-5 on this one.
BOUNDS = {
    "logits": 1e-5,
    "loss_ce_smooth_mixup": 1e-5,
    "loss_ce_smooth": 1e-5,
    "stage_norms": 1e-5,
    "stage_means": 1e-5,
    "grad_norms": 1e-4,
    "trajectory": 1e-4,
    "logits_after": 1e-3,
    "param_norms_after": 1e-3,
    "lr_cosine": 1e-6,
    "lr_poly": 1e-6,
    "lr_steps": 1e-6,
    "lr_linear": 1e-6,
}


def _relative_error(found: np.ndarray, expected: np.ndarray) -> float:
    """L2 norm of the difference over that of the expected array; inf where shapes differ."""
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    if found.shape != expected.shape:
        return float("inf")
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def compare_by_name(
    quantity: str, found: dict[str, float], expected: dict[str, float], note: str = ""
) -> FingerprintRow:
    """Compare one number for each name.

    Errors are relative to the number itself or, where it is zero but for rounding (below a thousandth of the median, as
    the gradient of a bias in front of a batch norm), to the median.
    """
    names = [name for name in found if name in expected]
    if not names:
        raise UserError(f"golden file: {quantity} has none of the network's names, such as {next(iter(found))}")
    median = float(np.median([abs(expected[name]) for name in names]))
    scales = [abs(expected[name]) if abs(expected[name]) > 1e-3 * median else median for name in names]
    errors = [abs(found[name] - expected[name]) / scale for name, scale in zip(names, scales, strict=True)]
    worst = int(np.argmax(errors))  # nan counts as the largest
    return _row(quantity, errors[worst], names[worst], note)


def _row(quantity: str, error: float, worst: str = "", note: str = "") -> FingerprintRow:
    return FingerprintRow(PUBLISHED, "", quantity, error, BOUNDS[quantity], "float32 beside float32", worst, note)


def compare_with_golden(golden: dict[str, np.ndarray], salt: str) -> Iterator[FingerprintRow]:
    """Compute every quantity that the golden file holds, in the order in which data flows."""
    batch, class_num = golden["logits"].shape
    x = Tensor(synthetic.draw_images(batch, salt=salt))
    a, b = (Tensor(golden[key].astype(np.int32)) for key in ("label_a", "label_b"))
    lam = Tensor(float(golden["lam"]), ms.float32)
    network = HLG(class_num, drop_rate=0.0)
    set_synthetic_weights(network, salt)
    mixup = build_loss("ce_smooth_mixup", class_num, synthetic.SMOOTHING)

    if "stage_norms" in golden:
        yield from _stages(network, x, golden)
    network.set_train(False)
    logits = network(x)
    yield _row("logits", _relative_error(logits.asnumpy(), golden["logits"]))
    for name in ("ce_smooth_mixup", "ce_smooth"):
        if f"loss_{name}" in golden:
            loss = build_loss(name, class_num, synthetic.SMOOTHING)(logits, a, b, lam).asnumpy()
            yield _row(f"loss_{name}", _relative_error(loss, golden[f"loss_{name}"]))

    if "grad_norms" in golden:
        step = Gradients(network, mixup)
        step.set_train(True)
        _, gradients, _ = step(x, a, b, lam, None)
        norms = {published_name(p.name): _norm(g) for p, g in zip(network.trainable_params(), gradients, strict=True)}
        yield compare_by_name("grad_norms", norms, _named(golden, "grad_names", "grad_norms"))
        set_synthetic_weights(network, salt)  # the forward pass in training mode has moved the batch norms' statistics

    if "trajectory" in golden:
        update = Update(network, mixup, AdamW(network.trainable_params()))
        update.set_train(True)
        losses = [update(x, a, b, lam, None, Tensor(float(lr), ms.float32))[0].asnumpy() for lr in golden["lr"]]
        yield _row("trajectory", _relative_error(np.array(losses), golden["trajectory"]))
        if "logits_after" in golden:
            network.set_train(False)
            yield _row("logits_after", _relative_error(network(x).asnumpy(), golden["logits_after"]))
        if "param_norms_after" in golden:
            norms = {published_name(p.name): _norm(p) for p in network.get_parameters()}
            yield compare_by_name("param_norms_after", norms, _named(golden, "param_names", "param_norms_after"))

    for mode in synthetic.SCHEDULE_MODES:
        if f"lr_{mode}" in golden:
            rates = learning_rates(mode=mode, **synthetic.SCHEDULE)
            yield _row(f"lr_{mode}", _relative_error(rates, golden[f"lr_{mode}"]))


def _stages(network: HLG, x: Tensor, golden: dict[str, np.ndarray]) -> Iterator[FingerprintRow]:
    """Norm and mean of the output of each patch embedding and each block, seen by hooks, so in PyNative mode."""
    seen: dict[str, np.ndarray] = {}

    def keep(name: str) -> Callable[[object, object, Tensor], None]:
        def hook(cell: object, inputs: object, output: Tensor) -> None:
            seen[name] = output.asnumpy().astype(np.float64)

        return hook

    mode = ms.get_context("mode")
    ms.set_context(mode=ms.PYNATIVE_MODE)
    hooks = [embed.register_forward_hook(keep(f"patch_embed{i + 1}")) for i, embed in enumerate(network.embeds)]
    for i, stage in enumerate(network.stages):
        hooks += [block.register_forward_hook(keep(f"block{i + 1}_{j}")) for j, block in enumerate(stage.blocks)]
    network.set_train(False)
    network(x)
    for hook in hooks:
        hook.remove()
    ms.set_context(mode=mode)

    norms = _named(golden, "stage_names", "stage_norms")
    means = _named(golden, "stage_names", "stage_means")
    # The last two blocks of the published code add in place: a recorder that keeps a reference sees the last block's
    # output under both names. Such an entry says nothing about the earlier block.
    aliased = [n for n, later in (("block4_0", "block4_1"),) if norms.get(n, 0) == norms.get(later, 1)]
    for name in aliased:
        seen.pop(name)
    note = f"{aliased[0]} not judged: recorded after block4_1" if aliased else ""
    yield compare_by_name("stage_norms", {n: float(np.linalg.norm(v)) for n, v in seen.items()}, norms, note)
    yield compare_by_name("stage_means", {n: float(v.mean()) for n, v in seen.items()}, means, note)


def _named(golden: dict[str, np.ndarray], names: str, values: str) -> dict[str, float]:
    return dict(zip(map(str, golden[names]), map(float, golden[values]), strict=True))


def _norm(tensor: Tensor) -> float:
    return float(np.linalg.norm(tensor.asnumpy().astype(np.float64)))
