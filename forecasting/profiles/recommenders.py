"""How much to hold for a service in the next hour, for a price of falling short.

Holding a unit more costs a unit; each window (memory) or sample (processors) above what is held
costs `price` units. Each service-hour then holds what is cheapest under its own distribution: where
use is steady a little more removes all risk, where it is wild the risk is taken. One price for all
spends the allowed violations where they save most, which one percentile for all cannot.

The distribution is that of like hours: trees split past hours by their features, a leaf keeps the
quantiles of what followed, and the trees' quantiles are averaged (after Meinshausen, 2006).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesRegressor

from forecasting.profiles.windows import Vector, Windows

LEVELS = np.array([0.0, 0.25, 0.5, 0.7, 0.8, 0.87, 0.92, 0.95, 0.97, 0.98, 0.99, 0.995, 1.0])
"""At which leaves keep quantiles."""
_TREES = 60
_LEAF_SHARE = 0.004
_LEAST_LEAF = 12
_MOST_LEAF = 60
_MOST_ROWS = 20_000
_STEPS = 6
"""Points between two levels at which a cost is tried."""


class Violation(StrEnum):
    """What falling short means: an hour with any sample above, or each sample above."""

    WINDOW = "window"
    SAMPLE = "sample"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What followed each window: (m, s) samples, NaN where missing, in units of its base."""

    samples: Vector

    def scored(self, violation: Violation) -> Vector:
        """Return (m, s) values of which each above what is held counts."""
        if violation is Violation.SAMPLE:
            return self.samples
        return np.asarray(np.nanmax(self.samples, axis=1, keepdims=True), dtype=np.float64)


class LikeHours:
    """Distributions of the next hour from like hours of any service.

    Args:
        known: Features of m windows.
        outcome: What followed.
        violation: What falling short means.
        seed: Of trees and of the choice of rows where there are many.
    """

    def __init__(self, known: Vector, outcome: Outcome, violation: Violation, *, seed: int) -> None:
        random = np.random.default_rng(seed)
        if len(known) > _MOST_ROWS:
            chosen = random.choice(len(known), _MOST_ROWS, replace=False)
            known, outcome = known[chosen], Outcome(outcome.samples[chosen])
        scored = outcome.scored(violation)
        target = np.column_stack(
            [np.log(0.05 + np.nanmean(outcome.samples, axis=1)), np.nanmax(scored, axis=1)]
        )
        least = int(np.clip(_LEAF_SHARE * len(known), _LEAST_LEAF, _MOST_LEAF))
        self._trees = ExtraTreesRegressor(
            n_estimators=_TREES, min_samples_leaf=least, max_features=0.5, random_state=seed
        )
        self._trees.fit(known, target)
        leaves = np.asarray(self._trees.apply(known), dtype=np.int64)
        self._tables = [_table(leaves[:, tree], scored) for tree in range(_TREES)]

    def quantiles(self, known: Vector) -> Vector:
        """Return (m, levels) of the quantiles in units of the base."""
        leaves = np.asarray(self._trees.apply(known), dtype=np.int64)
        total = np.zeros((len(known), len(LEVELS)))
        for tree, table in enumerate(self._tables):
            total += table[leaves[:, tree]]
        return total / len(self._tables)


def held(quantiles: Vector, base: Vector, price: float) -> Vector:
    """Return what to hold: least cost of holding and of falling short, in the units of base.

    Args:
        quantiles: (m, levels) in units of the base.
        base: (m,).
        price: Of falling short surely, in the units of base.
    """
    shares = np.linspace(0.0, 1.0, _STEPS, endpoint=False)
    low, high = quantiles[:, :-1, None], quantiles[:, 1:, None]
    amounts = np.concatenate(
        [low + (high - low) * shares, quantiles[:, -1:, None].repeat(_STEPS, 2)], 1
    )
    starts, ends = LEVELS[:-1, None], LEVELS[1:, None]
    levels = np.concatenate([starts + (ends - starts) * shares, np.ones((1, _STEPS))])
    costs = amounts * base[:, None, None] + price * (1.0 - levels)[None, :, :]
    flat = costs.reshape(len(base), -1)
    best = np.argmin(flat, axis=1)
    return np.asarray(amounts.reshape(len(base), -1)[np.arange(len(base)), best] * base)


def outcomes(used: Vector, rows: Windows) -> Outcome:
    """Return what followed each window, in units of its base."""
    return Outcome(used[rows.service, rows.hour] / rows.base[:, None])


def _table(leaves: NDArray[np.int64], scored: Vector) -> Vector:
    """Return (nodes, levels): the quantiles of what followed the rows of each leaf."""
    table = np.zeros((int(leaves.max()) + 1, len(LEVELS)))
    order = np.argsort(leaves, kind="stable")
    numbers, starts = np.unique(leaves[order], return_index=True)
    for number, rows in zip(numbers, np.split(order, starts[1:]), strict=True):
        values = scored[rows].ravel()
        ordered = np.sort(values[np.isfinite(values)])
        places = LEVELS * (len(ordered) - 1)
        low = places.astype(np.int64)
        high = np.minimum(low + 1, len(ordered) - 1)
        table[number] = ordered[low] + (ordered[high] - ordered[low]) * (places - low)
    return table
