"""All checks of a fingerprint, in the order in which data flows, and how they are run."""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from hlg.fingerprint.backward import TrainingCheck
from hlg.fingerprint.bounds import ReferenceTensors
from hlg.fingerprint.checkpoints import check_checkpoints
from hlg.fingerprint.forward import ForwardCheck, check_initial_weights, check_losses
from hlg.fingerprint.inputs import check_batch, check_images
from hlg.fingerprint.optimizer import OptimizerCheck, check_schedule
from hlg.fingerprint.ranks import check_collectives
from hlg.fingerprint.rows import THE_REST, FingerprintRow, undone_row
from hlg.runtime.device import Device


class FingerprintCheck(NamedTuple):
    """One of AREAS, and what computes rows of it."""

    area: str
    rows: Callable[[], Iterator[FingerprintRow]]


def all_checks(reference: ReferenceTensors, amp_level: str, on: Device) -> list[FingerprintCheck]:
    """List the checks. That of ``backward`` covers the whole training step."""
    return [
        FingerprintCheck("input", lambda: check_images(reference)),
        FingerprintCheck("input", lambda: check_batch(reference)),
        FingerprintCheck("initial weights", check_initial_weights),
        FingerprintCheck("forward", lambda: ForwardCheck(amp_level).rows(reference)),
        FingerprintCheck("loss", lambda: check_losses(reference)),
        FingerprintCheck("backward", lambda: TrainingCheck(amp_level).rows(reference)),
        FingerprintCheck("optimiser", lambda: check_schedule(reference)),
        FingerprintCheck("optimiser", lambda: OptimizerCheck().rows(reference)),
        FingerprintCheck("ranks", lambda: check_collectives(on)),
        FingerprintCheck("checkpoint", check_checkpoints),
    ]


def run_checks(checks: Iterable[FingerprintCheck]) -> Iterator[FingerprintRow]:
    """The rows of these checks. A check that the device can't compute ends with a row that says so."""
    for check in checks:
        try:
            yield from check.rows()
        except (RuntimeError, TypeError, ValueError, NotImplementedError) as error:  # whatever an operator raises
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            yield undone_row(check.area, THE_REST, f"could not: {type(error).__name__}: {reason}")
