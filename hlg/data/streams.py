"""Every random stream of a training run, by name.

Each choice comes from a generator of its own, made from the run's seed, the number of its stream and its place in the
run. No generator is carried along, so a run gives the same numbers for any number of threads, and after a restart at
any step.

| stream | place        | what it decides                                |
| ------ | ------------ | ---------------------------------------------- |
| ORDER  | epoch        | the order in which an epoch shows the images   |
| IMAGE  | epoch, index | crop, flip and AutoAugment of one image        |
| MIXUP  | step, rank   | the weight and the partners of a batch         |
| DEPTH  | step         | the branches that stochastic depth drops       |

Beside them the seed decides two things once, before the first step: the initial weights, which MindSpore draws
(``hlg.runtime.device``), and the permutation of :func:`shuffle_labels`. A data set that ``hlg.data.tiny`` draws or
carves has a seed of its own.
"""

import numpy as np

ORDER, IMAGE, MIXUP, DEPTH = range(4)


def counter_based(*words: int) -> np.random.Generator:
    """Make the generator that belongs to these numbers: a seed, a stream, and a place in it."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(words)))


def epoch_order(seed: int, epoch: int, count: int) -> np.ndarray:
    """Draw the order in which an epoch shows the images: (count,) int64, their indices in the data set."""
    return counter_based(seed, ORDER, epoch).permutation(count)


def image_generator(seed: int, epoch: int, index: int) -> np.random.Generator:
    """Make the source of every random choice about one image in one epoch."""
    return counter_based(seed, IMAGE, epoch, index)


def mixup_draw(seed: int, step: int, batch_size: int, alpha: float, rank: int = 0) -> tuple[np.float32, np.ndarray]:
    """Draw the weight of a batch's own images and the (B,) int32 permutation that names their partners.

    `step` counts from the start of the run. One Beta(alpha, alpha) weight and one permutation for each rank's batch, as
    in MindSpore's MixUpBatch; alpha 0 mixes nothing.
    """
    if alpha == 0:
        return np.float32(1), np.arange(batch_size, dtype=np.int32)
    rng = counter_based(seed, MIXUP, step, rank)
    weight = np.float32(rng.beta(alpha, alpha))
    return weight, rng.permutation(batch_size).astype(np.int32)


def draw_drop_scales(drop_rates: np.ndarray, seed: int, step: int, batch: int) -> np.ndarray:
    """Draw the factors of stochastic depth for one step.

    Args:
        drop_rates: (columns,) the drop rate of each column (``HLG.drop_rates``).
        batch: images of all ranks together.

    Returns:
        float32 (batch, columns): 0 where a branch is dropped, else 1 / (1 - rate).
    """
    keep = 1 - drop_rates
    kept = counter_based(seed, DEPTH, step).random((batch, len(keep)), np.float32) < keep
    return (kept / keep).astype(np.float32)


def shuffle_labels(labels: np.ndarray, seed: int) -> np.ndarray:
    """Deal the labels out to the images at random: a model can then only memorize them."""
    return np.random.default_rng(seed).permutation(labels)
