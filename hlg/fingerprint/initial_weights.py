"""Compare the weights that a network starts with to those that the published code drew, by mean, spread and extremes.

Both are samples of one distribution, so their errors are in what two samples of that size differ by. NumPy alone.
"""

from collections.abc import Iterator, Mapping

import numpy as np

from hlg.errors import UserError
from hlg.fingerprint.rows import PUBLISHED, FingerprintRow

SPREAD = 4  # standard errors that a mean or a spread may be off by, and half more for every tenfold of tensors
EXTREME = 2.0  # standard deviations: the largest of 384 normals strays by 0.4, the largest of more by less
INIT = ("init_mean", "init_std", "init_min", "init_max")


def compare_initial_weights(
    found: Mapping[str, np.ndarray], golden: Mapping[str, np.ndarray]
) -> Iterator[FingerprintRow]:
    """Yield a row for each of INIT; one constant that is another, or is none, is infinitely far.

    Args:
        found: our tensors by their published names.
        golden: the arrays of a golden file, of which INIT hold a number for each of ``init_names``.
    """
    published = {str(name): tuple(float(golden[key][i]) for key in INIT) for i, name in enumerate(golden["init_names"])}
    names = [name for name in found if name in published]
    if not names:
        raise UserError(f"golden file: init_names has none of the network's names, such as {next(iter(found))}")
    errors = {name: _errors(found[name], published[name]) for name in names}
    drawn = max(1, sum(found[name].std() > 0 for name in names))
    spread = (float(SPREAD + 0.5 * np.log10(drawn)), "standard errors of two samples")
    bounds = (spread, spread, (EXTREME, "standard deviations"), (EXTREME, "standard deviations"))
    for i, (key, (bound, source)) in enumerate(zip(INIT, bounds, strict=True)):
        worst = max(names, key=lambda name: errors[name][i])
        yield FingerprintRow(PUBLISHED, "", key, errors[worst][i], bound, source, worst)


def _errors(value: np.ndarray, expected: tuple[float, ...]) -> tuple[float, ...]:
    """How far a tensor's numbers are from the expected ones, in the order of INIT."""
    value = value.astype(np.float64)
    own = (value.mean(), value.std(), value.min(), value.max())
    apart = tuple(abs(a - b) for a, b in zip(own, expected, strict=True))
    sigma, n = expected[1], value.size
    if not sigma:
        return tuple(0.0 if gap == 0 else float("inf") for gap in apart)
    units = (sigma * (2 / n) ** 0.5, sigma * n**-0.5, sigma, sigma)
    return tuple(gap / unit for gap, unit in zip(apart, units, strict=True))
