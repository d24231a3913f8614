"""Count sketches: a tensor in eighteen numbers, enough to compare it with another machine's without keeping it.

A sketch is (size, norm, sixteen sums). Each element of the tensor goes, with a sign, into one of the sums; sum and
sign are drawn from a generator seeded by the tensor's key. The squared distance of two sketches' sums is an unbiased
estimate of the squared distance of the tensors, with a standard deviation of a third of it (Charikar et al. 2002). A
single wrong element is seen exactly, and so is any other order of the elements, as in a transposed weight. A tensor of
up to sixteen elements is kept as it is. NumPy alone.
"""

import zlib

import numpy as np

SUMS = 16


def count_sketch(key: str, tensor: np.ndarray) -> np.ndarray:
    """The sketch of ``tensor``, any shape and type, float64 (2 + SUMS,)."""
    flat = np.asarray(tensor, np.float64).reshape(-1)
    if flat.size <= SUMS:
        sums = np.pad(flat, (0, SUMS - flat.size))
    else:
        drawn = np.random.default_rng(zlib.crc32(f"sketch {key}".encode())).integers(0, 2 * SUMS, flat.size, np.uint8)
        both = np.bincount(drawn, flat, 2 * SUMS)  # the sums of the elements with a plus, then of those with a minus
        sums = both[:SUMS] - both[SUMS:]
    return np.concatenate([[flat.size, np.linalg.norm(flat)], sums])


def sketch_distance(found: np.ndarray, expected: np.ndarray, scale: float, factor: float = 1.0) -> float:
    """The estimated L2 distance of a tensor from ``factor`` times another, over ``scale``; inf for another size."""
    if found[0] != expected[0]:
        return float("inf")
    gap = float(np.linalg.norm(found[2:] - factor * expected[2:]))
    return gap / scale if scale else (0.0 if gap == 0 else float("inf"))


def sketch_ratio(found: np.ndarray, expected: np.ndarray) -> float:
    """The factor that fits best between the first tensor and the second; nan where the second is zero."""
    square = float(expected[2:] @ expected[2:])
    return float(found[2:] @ expected[2:]) / square if square else float("nan")
