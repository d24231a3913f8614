"""Check the training step: gradients, batch norm's statistics, overflow, losses over some steps."""

import re
from collections.abc import Iterator

import mindspore as ms
import numpy as np
from mindspore import Tensor, ops

from hlg.checkpoint.weights import published_name
from hlg.fingerprint import synthetic
from hlg.fingerprint.batch_norm import UNBIASED, VarianceRule, read_variance
from hlg.fingerprint.bounds import ReferenceTensors
from hlg.fingerprint.optimizer import reset_optimizer
from hlg.fingerprint.rows import ROWS, FingerprintRow, exact_row
from hlg.fingerprint.synthetic_weights import set_synthetic_weights
from hlg.model.loss import build_loss
from hlg.model.network import build_network
from hlg.model.optimizer import AdamW
from hlg.model.schedule import learning_rates
from hlg.training.step import Update

# What no precision holds. In float16 it is the cast of the images that leaves the range, in float32 their products.
BEYOND = {"O0": 1e37, "O2": 1e6, "O3": 1e6}

# A published name -> the group and name of its row.
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
    """The group and name of a parameter's row, such as ("stage 1 block 0", "MLP")."""
    for pattern, group, name in _PARTS:
        if match := re.fullmatch(pattern, published):
            return group.format(*match.groups()), name
    raise KeyError(published)


class UpdateWithGradients(Update):
    """A training step that also returns its gradients, with the loss scale undone."""

    def construct(  # type: ignore[override]
        self, x: Tensor, labels: Tensor, mixed: Tensor, lam: Tensor, scales: Tensor | None, lr: Tensor
    ) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        loss, gradients, overflow = self.gradients(x, labels, mixed, lam, scales)
        return ops.depend(loss, self.optimizer(gradients, lr, overflow)), overflow, gradients


class TrainingCheck:
    """The real training step with the published loss scale, compiled once for any number of salts."""

    def __init__(self, amp_level: str) -> None:
        self.beyond = np.float32(BEYOND[amp_level])
        self.network = build_network(synthetic.CLASSES, synthetic.SIZE, amp_level)
        self.optimizer = AdamW(self.network.trainable_params())
        loss = build_loss("ce_smooth_mixup", synthetic.CLASSES, synthetic.SMOOTHING)
        self.step = UpdateWithGradients(self.network, loss, self.optimizer, synthetic.LOSS_SCALE)
        self.step.set_train(True)
        self.rates = learning_rates(**synthetic.SHORT_SCHEDULE)

    def rows(self, reference: ReferenceTensors) -> Iterator[FingerprintRow]:
        """Compare gradients and moving statistics of a step, what an overflow does, and the losses of further steps.

        The overflow spoils the moving statistics, as it does in a run; a step in training does not read them.
        """
        set_synthetic_weights(self.network, reference.salt)
        rule = VarianceRule(self.network.embeds[-1].norm, reference.salt)
        set_synthetic_weights(self.network, reference.salt)
        reset_optimizer(self.optimizer)
        x = synthetic.draw_images(salt=reference.salt)
        loss, _, gradients = self._call(x, 0, reference.salt)
        yield from self._gradients(reference, gradients)
        yield self._moving_statistics(reference, rule.name)
        yield rule.row()
        yield self._loss(reference, 1, loss)
        yield from self._overflow(x, reference.salt)
        for step in range(1, synthetic.STEPS):
            yield self._loss(reference, step + 1, self._call(x, step, reference.salt)[0])

    def _call(self, x: np.ndarray, step: int, salt: str) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        a, b = (Tensor(labels) for labels in synthetic.draw_labels(salt))
        lam, lr = Tensor(synthetic.LAM, ms.float32), Tensor(self.rates[step], ms.float32)
        return self.step(Tensor(x), a, b, lam, None, lr)

    def _gradients(self, reference: ReferenceTensors, gradients: tuple[Tensor, ...]) -> Iterator[FingerprintRow]:
        """Compare the gradients of each part, from the head back to the stem."""
        found: dict[tuple[str, str], dict[str, tuple[str, np.ndarray]]] = {part: {} for part in ROWS["backward"]}
        for p, gradient in zip(self.network.trainable_params(), gradients, strict=True):
            published = published_name(p.name)
            found[part_of(published)][p.name] = (f"gradient/{published}", gradient.asnumpy())
        for (group, name), tensors in found.items():
            yield reference.compare("backward", group, name, tensors)

    def _moving_statistics(self, reference: ReferenceTensors, rule: str) -> FingerprintRow:
        """Compare batch norm's moving statistics, by whichever rule it moves its variance."""
        moving = {p.name: (published_name(p.name), p) for p in self.network.get_parameters() if not p.requires_grad}
        found = {
            name: (
                f"moving/{published}",
                read_variance(published, p.asnumpy(), rule, UNBIASED, synthetic.BATCH, reference.salt),
            )
            for name, (published, p) in moving.items()
        }
        return reference.compare("training", "", "moving statistics", found)

    def _loss(self, reference: ReferenceTensors, step: int, loss: Tensor) -> FingerprintRow:
        name = f"loss {step}"
        return reference.compare("training", "", name, {"": (f"training/{name}", loss.asnumpy())})

    def _overflow(self, x: np.ndarray, salt: str) -> Iterator[FingerprintRow]:
        """Take a step on images beyond the precision: it must be seen, and move neither weights nor moments."""
        o = self.optimizer
        state = (*o.parameters, *o.moments1, *o.moments2, o.updates)
        before = [p.asnumpy().copy() for p in state]
        _, overflow, _ = self._call(x * self.beyond, 1, salt)
        seen = bool(overflow.asnumpy())
        yield exact_row("training", "an overflow is seen", [] if seen else ["the step was taken for a good one"])
        if seen:
            moved = [p.name for p, old in zip(state, before, strict=True) if (p.asnumpy() != old).any()]
            yield exact_row("training", "an overflow changes nothing", moved)
