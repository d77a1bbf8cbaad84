"""Seeded joint scenarios of what a plan leaves to chance.

A scenario gives each task one level between 0 and 1, by which its duration and its needs are
read from their quantiles. Levels are uniform; tasks of one kind share a normal factor with
`COMMON` of the variance (a Gaussian copula), and are independent given that factor.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from engine.model.profiles import QUANTILE_LEVELS, Quantiles

COMMON = 0.3
"""Share of the variance that tasks of one kind have in common."""

SCENARIOS = 10_000

Values = npt.NDArray[np.float64]

_LEVELS = np.array((0.0, *QUANTILE_LEVELS, 1.0))


def generator(seed: int, *names: str) -> np.random.Generator:
    """Return a source of randomness that depends on the seed and on what it is for."""
    digest = hashlib.sha256("\0".join([str(seed), *names]).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))


def levels(kinds: Sequence[str], chance: np.random.Generator, count: int = SCENARIOS) -> Values:
    """Return an array of `count` rows and a column of levels for each task, given by its kind."""
    named = sorted(set(kinds))
    common = chance.standard_normal((count, len(named)))
    own = chance.standard_normal((count, len(kinds)))
    columns = [named.index(kind) for kind in kinds]
    mixed = np.sqrt(COMMON) * common[:, columns] + np.sqrt(1.0 - COMMON) * own
    return np.asarray(ndtr(mixed), dtype=np.float64)


def values(quantiles: Quantiles, at: Values) -> Values:
    """Return the quantity at each level: `Quantiles.at` for arrays."""
    points = np.array((quantiles.least, *quantiles.values, quantiles.p99))
    return np.asarray(np.interp(at, _LEVELS, points), dtype=np.float64)
