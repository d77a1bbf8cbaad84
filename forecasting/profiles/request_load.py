"""What a pod needs at a rate of requests, learned from other pods: GPU use, memory or latency.

A pod that was never seen is forecast from its rate alone. Its own hours, as they come, say how it
differs from the others; the rate of the hour to come says what its own hours cannot. Both stand
side by side as features, and like hours of other pods (`recommenders.LikeHours`) give the
distribution, so that quantiles of all levels come from one fit and never cross.
"""

from __future__ import annotations

import numpy as np

from engine.model.errors import Fault, InvalidInputError
from engine.model.profiles import QUANTILE_LEVELS
from forecasting.profiles.recommenders import LEVELS, LikeHours, Outcome, Violation
from forecasting.profiles.windows import Vector, Windows, least_base, windows


class RequestLoad:
    """Quantiles of one measure of pods by their requests.

    Args:
        used: (n, hours, samples) of the measure, NaN where missing.
        rates: (n, hours) requests a second, NaN where nothing is known.
        own_hours: Whether a pod's own hours speak too; else its rate alone.
        seed: Of the trees.

    Raises:
        InvalidInputError: The shapes differ, nothing is known, or a value is negative.
    """

    def __init__(self, used: Vector, rates: Vector, *, own_hours: bool, seed: int) -> None:
        _check(used, rates)
        self._own_hours = own_hours
        self._floor = least_base(used)
        self._typical = max(float(np.nanmedian(used)), self._floor)
        rows = self._rows(used, rates)
        samples = used[rows.service, rows.hour] / rows.base[:, None]
        seen = np.isfinite(samples).any(axis=1)
        self._like = LikeHours(
            rows.features[seen], Outcome(samples[seen]), Violation.SAMPLE, seed=seed
        )

    def quantiles(self, used: Vector, rates: Vector) -> Vector:
        """Return (n, hours, 5) quantiles of each hour at the levels of every profile.

        Args:
            used: (n, hours, samples) of the pods' own use; of each hour only earlier ones are read.
            rates: (n, hours) requests a second; NaN gives NaN.
        """
        rows = self._rows(used, rates)
        told = self._like.quantiles(rows.features)
        wanted = np.stack([np.interp(QUANTILE_LEVELS, LEVELS, row) for row in told])
        found = np.full((*rates.shape, len(QUANTILE_LEVELS)), np.nan)
        found[rows.service, rows.hour] = wanted * rows.base[:, None]
        return found

    def _rows(self, used: Vector, rates: Vector) -> Windows:
        """Return a row for each pod and hour whose rate is known."""
        service, hour = np.nonzero(np.isfinite(rates))
        before = np.where(hour > 0, rates[service, np.maximum(hour - 1, 0)], np.nan)
        now = rates[service, hour]
        asked = np.column_stack([now, np.nan_to_num(before, nan=-1.0), now / (now + before + 1e-9)])
        asked = np.nan_to_num(asked, nan=-1.0)
        base = np.full(len(now), self._typical)
        if self._own_hours:
            own = windows(used, first_hour=1, floor=self._floor)
            place = np.full(rates.shape, -1, dtype=np.int64)
            place[own.service, own.hour] = np.arange(len(own.base))
            found = place[service, hour]
            known = np.full((len(now), own.features.shape[1]), -1.0)
            known[found >= 0] = own.features[found[found >= 0]]
            base[found >= 0] = own.base[found[found >= 0]]
            asked = np.hstack([known, asked])
        return Windows(asked, base, service.astype(np.int64), hour.astype(np.int64))


def _check(used: Vector, rates: Vector) -> None:
    """Refuse measures from which nothing can be learned."""
    faults = []
    if used.shape[:2] != rates.shape:
        message = f"use has the shape {used.shape!r} and rates {rates.shape!r}"
        faults.append(Fault(code="H011", message=message, fix="give a rate for each pod and hour"))
    for name, values in (("use", used), ("rates", rates)):
        if not np.isfinite(values).any():
            faults.append(Fault(code="H012", message=f"no value of {name} is a number"))
        elif np.nanmin(values) < 0:
            message = f"a value of {name} is {float(np.nanmin(values))!r}; it must be at least 0"
            faults.append(Fault(code="H012", message=message, fix="correct the counter"))
    if faults:
        raise InvalidInputError("pods and their requests", faults)
