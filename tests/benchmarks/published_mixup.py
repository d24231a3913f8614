"""How often MindSpore's MixUpBatch ends a run with an error at the published alpha: of how many batches one.

    python -m tests.benchmarks.published_mixup

Forty runs of at most 2,000 batches of tiny images, each with a seed of its own; a minute. The operator refuses where
the two gamma draws behind a Beta(alpha, alpha) sum up to almost nothing, which for a small alpha is no rare event.
"""

import numpy as np

import hlg  # noqa: F401 - before mindspore

SEEDS, BATCHES, ALPHA = 40, 2000, 0.2


def done_before_an_error(seed: int) -> tuple[int, bool]:
    """Batches, and whether an error ended them."""
    import mindspore.dataset as ds
    from mindspore.dataset import vision

    ds.config.set_seed(seed)
    two = (np.zeros((2, 3, 2, 2), np.float32), np.eye(2, dtype=np.float32))  # images (B, C, H, W), labels (B, classes)
    data = ds.NumpySlicesDataset(two, ["image", "label"], shuffle=False).repeat(BATCHES).batch(2)
    data = data.map(vision.MixUpBatch(ALPHA), ["image", "label"], num_parallel_workers=1)
    done = 0
    try:
        for _ in data.create_tuple_iterator(num_epochs=1, output_numpy=True):
            done += 1
    except RuntimeError as error:
        if "of Gamma should not be 0" not in str(error):
            raise
        return done, True
    return done, False


if __name__ == "__main__":
    found = [done_before_an_error(seed) for seed in range(SEEDS)]
    print(f"{sum(ended for _, ended in found)} of {sum(done for done, _ in found):,} batches ended a run with an error")
