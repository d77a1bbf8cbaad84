"""Learning rates for large batches: scaled to the batch, and warmed up.

Linear scaling with warm-up: Goyal et al., "Accurate, large minibatch SGD" (2017). The square root
goes with optimisers that normalise their step (LAMB, Adam).
"""

from __future__ import annotations

import math

from engine.model.errors import RefusedError


def scaled(rate: float, *, batch: int, base_batch: int, scaling: str) -> float:
    """Return the rate for a global batch, given the one for `base_batch`.

    >>> scaled(0.1, batch=1024, base_batch=256, scaling="linear")
    0.4
    >>> scaled(0.1, batch=1024, base_batch=256, scaling="root")
    0.2

    Raises:
        RefusedError: when the scaling has another name.
    """
    ratios = {"linear": batch / base_batch, "root": math.sqrt(batch / base_batch), "none": 1.0}
    if scaling not in ratios:
        raise RefusedError(f"there is no scaling {scaling!r}", fix=f"one of: {', '.join(ratios)}")
    return rate * ratios[scaling]


def at_step(rate: float, step: int, *, warm_up_steps: int) -> float:
    """Return the rate of a step, counted from 0: rising evenly, then constant.

    >>> [at_step(1.0, step, warm_up_steps=4) for step in (0, 1, 3, 4)]
    [0.25, 0.5, 1.0, 1.0]
    """
    return rate * min(1.0, (step + 1) / warm_up_steps) if warm_up_steps else rate
