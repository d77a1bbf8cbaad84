"""Nested cross-validation: a whole choice is made again without each outer fold, and judged there.

What is estimated is the choice, not one model: tuning and choosing see only the rows outside the
outer fold. Five times two folds is the protocol of Dietterich (Neural Computation 1998).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from executors.training import leaks, search
from executors.training.families import Classifier

Chooser = Callable[[NDArray[np.float64], NDArray[np.int64], int], tuple[str, Classifier]]
"""Takes rows, classes and a seed; returns the name of what it chose, fitted on all these rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The quality of a choice by outer fold, and what was chosen in each."""

    qualities: tuple[float, ...]
    chosen: tuple[str, ...]

    @property
    def quality(self) -> float:
        """Mean share of rows classified right."""
        return float(np.mean(self.qualities))

    @property
    def spread(self) -> float:
        """Standard deviation over the outer folds."""
        return float(np.std(self.qualities, ddof=1)) if len(self.qualities) > 1 else 0.0


def estimate(
    rows: NDArray[np.float64],
    labels: NDArray[np.int64],
    choose: Chooser,
    *,
    repeats: int = 5,
    folds: int = 2,
    seed: int = 0,
) -> Estimate:
    """Return the honest quality of a choice by repeated nested cross-validation."""
    qualities: list[float] = []
    chosen: list[str] = []
    for repeat in range(repeats):
        outer = search.assign_folds(labels, seed=seed + repeat, count=folds)
        for fold in range(folds):
            out = outer == fold
            name, model = choose(rows[~out], labels[~out], seed + repeat)
            # The labels of the outer fold are behind a door that opens for one model only.
            test = leaks.HeldOut(rows[out], labels[out])
            qualities.append(test.judge(name, model.predict(rows[out])))
            chosen.append(name)
    return Estimate(qualities=tuple(qualities), chosen=tuple(chosen))
