"""The training step: gradients, batch norm's statistics, overflow, losses over some steps."""

import re
from collections.abc import Iterator

import mindspore as ms
import numpy as np
from mindspore import Tensor, ops

from hlg.checkpoint.weights import published_name
from hlg.fingerprint import golden, synthetic
from hlg.fingerprint.bounds import Judge, Row, exact
from hlg.model.loss import build_loss
from hlg.model.network import build_network
from hlg.model.optimizer import AdamW
from hlg.model.schedule import learning_rates
from hlg.training.step import Update

STEPS = 3
# What no precision holds. In float16 it is the cast of the images that leaves the range, in float32 their products.
BEYOND = {"O0": 1e37, "O2": 1e6, "O3": 1e6}

# A published name -> (stage, block, what), from the head back to the stem.
_PARTS = (
    (r"head\..*", "head", "head"),
    (r"norm\..*", "head", "norm"),
    (r"block(\d)_(\d)\.mlp\..*", "stage {} block {}", "MLP"),
    (r"block(\d)_(\d)\.norm2\..*", "stage {} block {}", "norm 2"),
    (r"block(\d)_(\d)\.attn\..*", "stage {} block {}", "attention"),
    (r"block(\d)_(\d)\.norm1\..*", "stage {} block {}", "norm 1"),
    (r"block(\d)_(\d)\.norm0\..*", "stage {} block {}", "norm 0"),
    (r"block(\d)_(\d)\.spatial_smooth\..*", "stage {} block {}", "smoothing"),
    (r"pos_embed(\d)", "stage {}", "position embedding"),
    (r"(cls)", "stage 4", "position embedding"),
    (r"patch_embed(\d)\..*", "stage {}", "patch embedding"),
)


def part_of(published: str) -> tuple[str, str]:
    """Where a parameter belongs, such as ("stage 1 block 0", "MLP")."""
    for pattern, group, name in _PARTS:
        if match := re.fullmatch(pattern, published):
            return group.format(*match.groups()), name
    raise KeyError(published)


def in_backward_order(parts: set[tuple[str, str]]) -> list[tuple[str, str]]:
    """Head first, then stage 4 block 1, stage 4 block 0, stage 4 itself, stage 3 block 1 and so on."""
    names = [name for _, _, name in _PARTS]

    def place(part: tuple[str, str]) -> tuple[int, int, int]:
        group, name = part
        numbers = [int(n) for n in re.findall(r"\d", group)] or [5]
        return -numbers[0], -numbers[1] if len(numbers) > 1 else (1 if numbers[0] < 5 else 0), names.index(name)

    return sorted(parts, key=place)


class Watched(Update):
    """A training step that gives its gradients too, freed from the loss scale."""

    def construct(  # type: ignore[override]
        self, x: Tensor, labels: Tensor, mixed: Tensor, lam: Tensor, scales: Tensor | None, lr: Tensor
    ) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        loss, gradients, overflow = self.gradients(x, labels, mixed, lam, scales)
        return ops.depend(loss, self.optimizer(gradients, lr, overflow)), overflow, gradients


class Training:
    """The real training step with the published loss scale, compiled once for any number of salts."""

    def __init__(self, amp_level: str) -> None:
        self.beyond = np.float32(BEYOND[amp_level])
        self.network = build_network(synthetic.CLASSES, synthetic.SIZE, amp_level)
        self.optimizer = AdamW(self.network.trainable_params())
        loss = build_loss("ce_smooth_mixup", synthetic.CLASSES, synthetic.SMOOTHING)
        self.step = Watched(self.network, loss, self.optimizer, synthetic.LOSS_SCALE)
        self.step.set_train(True)
        self.rates = learning_rates(
            mode="cosine", lr_init=0, lr_min=1e-5, lr_max=1e-3, warmup_epochs=1, max_epoch=2, steps_per_epoch=4
        )

    def rows(self, judge: Judge) -> Iterator[Row]:
        """Gradients and moving statistics of a step, what an overflow does, and the losses of further steps.

        The overflow spoils the moving statistics, as it does in a run; a step in training does not read them.
        """
        golden.set_weights(self.network, judge.salt)
        restart(self.optimizer)
        x = synthetic.images(synthetic.BATCH, synthetic.SIZE, judge.salt)
        loss, _, gradients = self._call(x, 0, judge.salt)
        yield from _backward(judge, self.network.trainable_params(), gradients)
        moving = {
            p.name: (f"moving/{published_name(p.name)}", p.asnumpy())
            for p in self.network.get_parameters()
            if not p.requires_grad
        }
        yield judge.against("training", "", "moving statistics", moving)
        yield judge.against("training", "", "loss 1", {"": ("training/loss 1", loss.asnumpy())})
        yield from self._overflow(x, judge.salt)
        for i in range(1, STEPS):
            loss = self._call(x, i, judge.salt)[0]
            key = f"training/loss {i + 1}"
            yield judge.against("training", "", f"loss {i + 1}", {"": (key, loss.asnumpy())})

    def _call(self, x: np.ndarray, step: int, salt: str) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        a, b = (Tensor(label) for label in synthetic.labels(salt))
        lam, lr = Tensor(synthetic.LAM, ms.float32), Tensor(self.rates[step], ms.float32)
        return self.step(Tensor(x), a, b, lam, None, lr)

    def _overflow(self, x: np.ndarray, salt: str) -> Iterator[Row]:
        """A step on images that are beyond the precision: it must be seen, and move neither weights nor moments."""
        o = self.optimizer
        state = (*o.parameters, *o.moments1, *o.moments2, o.updates)
        before = [p.asnumpy().copy() for p in state]
        _, overflow, _ = self._call(x * self.beyond, 1, salt)
        seen = bool(overflow.asnumpy())
        yield exact("training", "", "an overflow is seen", [] if seen else ["the step was taken for a good one"])
        if seen:
            moved = [p.name for p, old in zip(state, before, strict=True) if (p.asnumpy() != old).any()]
            yield exact("training", "", "an overflow changes nothing", moved)


def restart(optimizer: AdamW) -> None:
    """Make an optimiser forget its steps."""
    for p in (*optimizer.moments1, *optimizer.moments2, optimizer.updates):
        p.set_data(ops.zeros(p.shape, p.dtype))


def _backward(judge: Judge, parameters: list[ms.Parameter], gradients: tuple[Tensor, ...]) -> Iterator[Row]:
    found: dict[tuple[str, str], dict[str, tuple[str, np.ndarray]]] = {}
    for p, gradient in zip(parameters, gradients, strict=True):
        published = published_name(p.name)
        found.setdefault(part_of(published), {})[p.name] = (f"gradient/{published}", gradient.asnumpy())
    for group, name in in_backward_order(set(found)):
        yield judge.against("backward", group, name, found[group, name])
