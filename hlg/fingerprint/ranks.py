"""Check what ranks do together: right to the bit, or to one rounding of a sum."""

from collections.abc import Iterator

import numpy as np
from mindspore import Tensor

from hlg.fingerprint.rows import ROWS, FingerprintRow, exact_row, undone_row
from hlg.fingerprint.synthetic import draw_share
from hlg.runtime import collective
from hlg.runtime.device import Device

SHAPES = ((3,), (384, 1536), (1001,), (2048, 1024), (1, 50, 384))  # some share a bucket, one has its own
COUNT = 2**24 + 1  # beyond what float32 counts


def check_collectives(on: Device) -> Iterator[FingerprintRow]:
    """Average and add up synthetic shares with the collectives of a training step. Every rank must call it."""
    mean_of_all, same_on_all, exact_counts, _ = (name for _, name in ROWS["ranks"])
    if on.count == 1:
        for name in (mean_of_all, same_on_all, exact_counts):
            yield undone_row("ranks", name, "one rank was started")
        return
    average = collective.Average(SHAPES, on.count)
    found = [t.asnumpy() for t in average(tuple(Tensor(draw_share(on.rank, shape)) for shape in SHAPES))]
    errors = {}
    for shape, mean in zip(SHAPES, found, strict=True):
        expected = sum(draw_share(rank, shape).astype(np.float64) for rank in range(on.count)) / on.count
        errors[f"tensor {shape}"] = float(np.linalg.norm(mean - expected) / np.linalg.norm(expected))
    worst = max(errors, key=errors.__getitem__)
    quotient = float(np.median(mean / expected))  # of the last one
    note = f"all of it is {quotient:.4g} times what it should be" if abs(quotient - 1) > 1e-2 else ""
    bound = on.count * 2.0**-23  # a rounding of float32 for each rank that is added
    yield FingerprintRow("ranks", "", mean_of_all, errors[worst], bound, "a rounding for each rank", worst, note)

    bits = np.concatenate([mean.reshape(-1) for mean in found]).view(np.uint32).astype(np.int64)
    sums = _of_every_rank(on, int((bits * (np.arange(bits.size) % 251 + 1)).sum() % (1 << 30)))
    yield exact_row("ranks", same_on_all, [f"rank {r}" for r in range(on.count) if sums[r] != sums[0]])
    counted = collective.sum_over_ranks([on.rank + 1, COUNT], on.count).tolist()
    right = [on.count * (on.count + 1) // 2, on.count * COUNT]
    yield exact_row("ranks", exact_counts, [] if counted == right else [f"{counted}, not {right}"])


def check_other_ranks(on: Device, out: int) -> Iterator[FingerprintRow]:
    """Ask the other ranks whether their rows are within bounds. Every rank must call it.

    Args:
        on: this rank.
        out: how many of its rows are out of bounds.
    """
    if on.count > 1:
        wrong = [f"rank {r}, {n} rows" for r, n in enumerate(_of_every_rank(on, out)) if n and r != on.rank]
        yield exact_row("ranks", "other ranks", wrong)


def _of_every_rank(on: Device, number: int) -> list[int]:
    """The numbers of all ranks, given this one's."""
    return collective.sum_over_ranks([number if r == on.rank else 0 for r in range(on.count)], on.count).tolist()
