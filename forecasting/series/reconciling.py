"""Forecasts of totals that are the sums of their parts.

Each level of a hierarchy (tenant, pool, total) is forecast on its own, which serves it best, and
the forecasts are then moved as little as possible, in units of their past errors, until they add
up (trace minimisation with a diagonal of error variances; Wickramasuriya, Athanasopoulos and
Hyndman, 2019). Quantiles move with their median: they do not add up, as quantiles do not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from engine.model.errors import Fault, InvalidInputError
from forecasting.series.panel import Vector

_LEAST_SHARE = 1e-6
"""Of the largest error: a forecast that never failed is moved a little all the same."""


def summing(names: Sequence[str], totals: Mapping[str, Sequence[str]]) -> Vector:
    """Return the (n, leaves) matrix that makes all series from the leaves, in order of `names`.

    Args:
        names: All series; those that are no key of `totals` are leaves.
        totals: A total to its parts, which may be totals themselves.

    Raises:
        InvalidInputError: for a part or total that is no series, and for totals in a circle.
    """
    _check_known(names, totals)
    leaves = [name for name in names if name not in totals]
    rows: dict[str, Vector] = {
        leaf: np.eye(len(leaves))[place] for place, leaf in enumerate(leaves)
    }
    # A hierarchy of n totals is built after n rounds at the latest, unless it goes in a circle.
    for _ in range(len(totals)):
        for total, parts in totals.items():
            if total not in rows and all(part in rows for part in parts):
                rows[total] = np.asarray(sum(rows[part] for part in parts), dtype=np.float64)
    circular = sorted(name for name in names if name not in rows)
    if circular:
        message = f"the totals {', '.join(map(repr, circular))} are parts of one another"
        raise InvalidInputError("hierarchy", [Fault(code="C009", message=message)])
    return np.stack([rows[name] for name in names])


def _check_known(names: Sequence[str], totals: Mapping[str, Sequence[str]]) -> None:
    unknown = sorted(
        {each for total, parts in totals.items() for each in (total, *parts)} - set(names)
    )
    if unknown:
        message = f"the hierarchy names {', '.join(map(repr, unknown))}, which is no series"
        raise InvalidInputError("hierarchy", [Fault(code="C009", message=message)])


def reconciled(quantiles: Vector, median: int, sums: Vector, errors: Vector) -> Vector:
    """Return (n, h, levels) quantiles whose medians add up; none is negative.

    Args:
        quantiles: (n, h, levels) of each series on its own.
        median: Which of the levels is the median.
        sums: (n, leaves) from `summing`.
        errors: (n,) mean past error of each series; the larger, the more it is moved.
    """
    spread = np.maximum(errors, _LEAST_SHARE * max(float(errors.max()), _LEAST_SHARE))
    weighted = sums / spread[:, None] ** 2
    to_leaves = np.linalg.solve(sums.T @ weighted, weighted.T)
    medians = quantiles[..., median]
    coherent = sums @ np.maximum(to_leaves @ medians, 0.0)
    return np.maximum(quantiles + (coherent - medians)[..., None], 0.0)
