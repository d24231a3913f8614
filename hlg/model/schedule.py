"""The learning rate schedules."""

import numpy as np


def learning_rates(
    *,
    mode: str,
    lr_init: float,
    lr_min: float,
    lr_max: float,
    warmup_epochs: int,
    max_epoch: int,
    steps_per_epoch: int,
    poly_power: float = 2.0,
) -> np.ndarray:
    """Compute the learning rate of each step, float32 (max_epoch * steps_per_epoch,).

    It rises from `lr_init` to `lr_max` over the warm-up in a straight line, then falls by `mode`:

    | mode   | fall                                                                    | last step      |
    | ------ | ----------------------------------------------------------------------- | -------------- |
    | cosine | half a cosine, which ignores `lr_min` as the published run did          | 0              |
    | poly   | (1 - progress) to the power of `poly_power`                             | above `lr_min` |
    | linear | a straight line                                                         | above `lr_min` |
    | exp    | the same factor every step, for an `lr_min` above 0; not published      | `lr_min`       |
    | steps  | by ten at 30, 60 and 80 % of all steps; no warm-up, as published        | lr_max / 1000  |

    Cosine and exp take the progress at the end of a step, so that the fall is complete; poly and linear take that at
    its beginning, as published.
    """
    total = max_epoch * steps_per_epoch
    warmup = warmup_epochs * steps_per_epoch
    step = np.arange(total)
    if mode == "steps":
        drops = np.searchsorted(np.array([0.3, 0.6, 0.8]) * total, step, side="right")
        return (lr_max * np.array([1, 0.1, 0.01, 0.001])[drops]).astype(np.float32)

    done = step + 1 if mode in ("cosine", "exp") else step
    rise = lr_init + (lr_max - lr_init) / max(warmup, 1) * done[:warmup]
    progress = (done[warmup:] - warmup) / max(total - warmup, 1)  # 0 .. 1
    if mode == "cosine":
        fall = lr_max * (1 + np.cos(np.pi * progress)) / 2
    elif mode == "poly":
        fall = lr_min + (lr_max - lr_min) * (1 - progress) ** poly_power
    elif mode == "linear":
        fall = lr_max - (lr_max - lr_min) * progress
    elif mode == "exp":
        fall = lr_max * (lr_min / lr_max) ** progress
    else:
        raise ValueError(f"no learning rate schedule is called {mode!r}")
    return np.concatenate([rise, fall]).astype(np.float32)
