"""What ranks do together, and what a checkpoint keeps: right to the bit, or to one rounding of a sum."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from mindspore import Parameter, Tensor

from hlg.checkpoint import store
from hlg.checkpoint.weights import load_weights, published_name
from hlg.fingerprint import golden, synthetic
from hlg.fingerprint.bounds import Row, exact, not_done
from hlg.model.network import build_network
from hlg.model.optimizer import AdamW
from hlg.runtime import collective
from hlg.runtime.device import Device

SHAPES = ((3,), (384, 1536), (1001,), (2048, 1024), (1, 50, 384))  # some share a bucket, one has its own
COUNT = 2**24 + 1  # beyond what float32 counts


def ranks(on: Device) -> Iterator[Row]:
    """The collectives of a training step, on shares made by rule. Every rank must call it."""
    names = ("mean over all ranks", "the same on all ranks", "exact counts")
    if on.count == 1:
        yield from (not_done("ranks", "", name, "one rank was started") for name in names)
        return
    average = collective.Average(SHAPES, on.count)
    found = [t.asnumpy() for t in average(tuple(Tensor(synthetic.share(on.rank, shape)) for shape in SHAPES))]
    errors = {}
    for shape, mean in zip(SHAPES, found, strict=True):
        expected = sum(synthetic.share(rank, shape).astype(np.float64) for rank in range(on.count)) / on.count
        errors[f"tensor {shape}"] = float(np.linalg.norm(mean - expected) / np.linalg.norm(expected))
    worst = max(errors, key=errors.__getitem__)
    quotient = float(np.median(mean / expected))  # of the last one
    note = f"all of it is {quotient:.4g} times what it should be" if abs(quotient - 1) > 1e-2 else ""
    # A rounding of float32 for each rank that is added.
    bound = on.count * 2.0**-23
    yield Row("ranks", "", names[0], errors[worst], bound, "a rounding for each rank", worst, note)

    bits = np.concatenate([mean.reshape(-1) for mean in found]).view(np.uint32).astype(np.int64)
    checksum = int((bits * (np.arange(bits.size) % 251 + 1)).sum() % (1 << 30))
    sums = collective.sum_over_ranks([checksum if rank == on.rank else 0 for rank in range(on.count)], on.count)
    yield exact("ranks", "", names[1], [f"rank {r}" for r in range(on.count) if sums[r] != sums[0]])
    counted = collective.sum_over_ranks([on.rank + 1, COUNT], on.count).tolist()
    right = [on.count * (on.count + 1) // 2, on.count * COUNT]
    yield exact("ranks", "", names[2], [] if counted == right else [f"{counted}, not {right}"])


def others(on: Device, out: int) -> Iterator[Row]:
    """Whether the other ranks' rows are within bounds, too; ``out`` of this one's are not. Every rank must call it."""
    if on.count > 1:
        counts = collective.sum_over_ranks([out if rank == on.rank else 0 for rank in range(on.count)], on.count)
        wrong = [f"rank {r}, {n} rows" for r, n in enumerate(counts.tolist()) if n and r != on.rank]
        yield exact("ranks", "", "other ranks", wrong)


def checkpoints() -> Iterator[Row]:
    """Weights and optimiser to a file and back, by our names and by the published ones."""
    network = build_network(synthetic.CLASSES, synthetic.SIZE)
    golden.set_weights(network)
    optimizer = AdamW(network.trainable_params())
    everything = [*network.get_parameters(), *optimizer.moments1, *optimizer.moments2, optimizer.updates]
    for p in (*optimizer.moments1, *optimizer.moments2):
        p.set_data(Tensor(synthetic.gradient(p.name, p.shape, 0)))
    before = {p.name: p.asnumpy().copy() for p in everything}
    state = store.State(1, 0, 2, synthetic.LOSS_SCALE, None, None, {"seed": 1}, 0.0, 0, 0, [], True)
    with tempfile.TemporaryDirectory() as folder:
        path = store.save_checkpoint(Path(folder) / "hlg.ckpt", everything, state)
        _clear(everything)
        store.restore_checkpoint(path, everything)
        wrong = [p.name for p in everything if _bits(p.asnumpy()) != _bits(before[p.name])]
        wrong += [] if store.read_state(path) == state else ["the state beside it"]
        yield exact("checkpoint", "", "saved and loaded", wrong)

        own = list(network.get_parameters())
        published = [Parameter(Tensor(before[p.name]), name=published_name(p.name)) for p in own]
        path = store.save_checkpoint(Path(folder) / "published.ckpt", published, state)
        _clear(own)
        load_weights(path, network)
        wrong = [p.name for p in own if _bits(p.asnumpy()) != _bits(before[p.name])]
        yield exact("checkpoint", "", "published names", wrong)


def _clear(parameters: list[Parameter]) -> None:
    for p in parameters:
        p.set_data(Tensor(np.zeros(p.shape, np.float32)))


def _bits(value: np.ndarray) -> tuple[tuple[int, ...], bytes]:
    return value.shape, value.tobytes()
