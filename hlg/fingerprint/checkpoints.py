"""Check what a checkpoint keeps: weights and optimizer to a file and back, right to the bit."""

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from mindspore import Parameter, Tensor

from hlg.checkpoint import store
from hlg.checkpoint.state import State, read_state
from hlg.checkpoint.weights import load_weights, published_name
from hlg.fingerprint import synthetic
from hlg.fingerprint.rows import FingerprintRow, exact_row
from hlg.fingerprint.synthetic_weights import set_synthetic_weights
from hlg.model.network import build_network
from hlg.model.optimizer import AdamW

_CLASSES = ("n01440764", "käse, und so")


def check_checkpoints() -> Iterator[FingerprintRow]:
    """Save and load a checkpoint by our parameter names, and one by the published names."""
    network = build_network(synthetic.CLASSES, synthetic.SIZE)
    set_synthetic_weights(network)
    optimizer = AdamW(network.trainable_params())
    everything = [*network.get_parameters(), *optimizer.moments1, *optimizer.moments2, optimizer.updates]
    for p in (*optimizer.moments1, *optimizer.moments2):
        p.set_data(Tensor(synthetic.draw_gradient(p.name, p.shape, 0)))
    before = {p.name: p.asnumpy().copy() for p in everything}
    state = State(1, 0, 2, synthetic.LOSS_SCALE, None, None, {"seed": 1}, 0.0, 0, 0, [], True)
    with tempfile.TemporaryDirectory() as folder:
        path = store.save_checkpoint(Path(folder) / "hlg.ckpt", everything, state, _CLASSES)
        _clear(everything)
        store.restore_checkpoint(path, everything)
        wrong = _changed(everything, before)
        wrong += [] if read_state(path) == state else ["the state beside it"]
        wrong += [] if store.read_checkpoint(path).classes == _CLASSES else ["its classes"]
        yield exact_row("checkpoint", "saved and loaded", wrong)

        own = list(network.get_parameters())
        published = [Parameter(Tensor(before[p.name]), name=published_name(p.name)) for p in own]
        path = store.save_checkpoint(Path(folder) / "published.ckpt", published, state, None)
        _clear(own)
        load_weights(path, network)
        yield exact_row("checkpoint", "published names", _changed(own, before))


def _clear(parameters: Iterable[Parameter]) -> None:
    for p in parameters:
        p.set_data(Tensor(np.zeros(p.shape, np.float32)))


def _changed(parameters: Iterable[Parameter], before: dict[str, np.ndarray]) -> list[str]:
    """The names of parameters whose shape or bits are not those of before."""
    return [
        p.name
        for p in parameters
        if p.shape != before[p.name].shape or p.asnumpy().tobytes() != before[p.name].tobytes()
    ]
