"""Collectives of data-parallel ranks: average in buckets, sum counts, broadcast parameters."""

import math
import re
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn, ops
from mindspore.ops import composite

from hlg.errors import LostRankError

BUCKET = 2 << 20  # numbers, 8 MiB: large enough for full bandwidth, small enough to start before the backward pass ends

# In what MindSpore says of a collective that another rank has left; the operator's name, or the library's.
_LOST = re.compile(r"state of the cluster|AllReduce|Broadcast|HCCL|NCCL")

_flatten = composite.MultitypeFuncGraph("flatten")
_cut = composite.MultitypeFuncGraph("cut")


@_flatten.register("Tensor")
def _flatten_one(tensor: Tensor) -> Tensor:
    return tensor.reshape(-1)


@_cut.register("Tensor", "Tensor", "Number")
def _cut_one(bucket: Tensor, like: Tensor, start: int) -> Tensor:
    return ops.Slice()(bucket, (start,), (like.size,)).reshape(like.shape)


@contextmanager
def detect_lost_ranks(rank: int, ranks: int) -> Generator[None, None, None]:
    """Raise LostRankError, as a context, where a collective fails because another rank is gone."""
    try:
        yield
    except RuntimeError as error:
        if ranks == 1 or not _LOST.search(str(error)):
            raise
        reason = str(error).strip().splitlines()[0]
        raise LostRankError(
            f"rank {rank} of {ranks} lost contact with another rank ({reason}): that rank died or its machine hangs; "
            "its log may say why"
        ) from error


class Average(nn.Cell):
    """The mean over all ranks of each of several float32 tensors, in few all-reduces of large flat buckets.

    One all-reduce a tensor would cost hundreds of round trips a step. The sum has the same bits on every rank.

    Args:
        shapes: of the tensors, in the order in which they will come.
        ranks: how many there are.
        bucket: numbers in a bucket; a larger tensor has one of its own.
    """

    def __init__(self, shapes: Iterable[tuple[int, ...]], ranks: int, bucket: int = BUCKET) -> None:
        super().__init__(auto_prefix=False)
        self.ranks = ranks
        sizes = [math.prod(shape) for shape in shapes]
        self.buckets = buckets(sizes, bucket)
        self.bytes = 4 * sum(sizes)  # that a step averages
        self.map = composite.HyperMap()
        self.concat = ops.Concat()
        self.sum = ops.AllReduce()

    def construct(self, tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        flat = self.map(_flatten, tensors)
        means = ()
        for first, last, starts in self.buckets:
            bucket = self.sum(self.concat(flat[first:last])) / self.ranks
            means = means + self.map(ops.partial(_cut, bucket), tensors[first:last], starts)
        return means


def buckets(sizes: Sequence[int], bucket: int) -> tuple[tuple[int, int, tuple[int, ...]], ...]:
    """Put neighboring tensors together, up to ``bucket`` numbers: (first, last + 1, where each starts in it)."""
    found: list[tuple[int, int, tuple[int, ...]]] = []
    first = 0
    starts: list[int] = []
    filled = 0
    for i, size in enumerate(sizes):
        if starts and filled + size > bucket:
            found.append((first, i, tuple(starts)))
            first, starts, filled = i, [], 0
        starts.append(filled)
        filled += size
    return (*found, (first, len(sizes), tuple(starts)))


class _Sum(nn.Cell):
    def __init__(self) -> None:
        super().__init__()
        self.sum = ops.AllReduce()

    def construct(self, x: Tensor) -> Tensor:
        return self.sum(x)


class _Broadcast(nn.Cell):
    def __init__(self) -> None:
        super().__init__()
        self.broadcast = ops.Broadcast(0)

    def construct(self, x: Tensor) -> Tensor:
        return self.broadcast((x,))[0]


def sum_over_ranks(counts: Sequence[int] | np.ndarray, ranks: int) -> np.ndarray:
    """Sum each count over all ranks, int64, exact below 2^40. Every rank must call it."""
    own = np.asarray(counts, np.int64)
    if ranks == 1:
        return own
    # MindSpore adds only floats on a CPU, and float32 is exact below 2^24: the halves travel apart.
    halves = np.stack([own & 0xFFFFF, own >> 20]).astype(np.float32)
    low, high = _Sum()(Tensor(halves)).asnumpy().astype(np.int64)
    return low + (high << 20)


def union(own: Iterable[str], names: Sequence[str], ranks: int) -> list[str]:
    """Return those of ``names``, the same on all ranks, that any rank has as its ``own``. Every rank must call it."""
    here = set(own)
    flags = sum_over_ranks([name in here for name in names], ranks)
    return [names[i] for i in np.flatnonzero(flags)]


def broadcast(parameters: Iterable[Parameter], ranks: int) -> None:
    """Set the float32 parameters of every rank to those of rank 0. Every rank must call it."""
    if ranks == 1:
        return
    parameters = list(parameters)
    flat = np.concatenate([p.asnumpy().astype(np.float32).reshape(-1) for p in parameters])
    flat = _Broadcast()(Tensor(flat)).asnumpy()
    start = 0
    for p in parameters:
        p.set_data(Tensor(flat[start : start + p.size].reshape(p.shape), ms.float32))
        start += p.size
