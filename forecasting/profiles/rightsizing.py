"""What services should hold for the next hour: the method and its margin, by back-test.

Three families compete: like hours (`recommenders`), a percentile of all that a service used, and
its largest recent use with a margin. Each family's knob is set on held-out services so that the
allowed share of violations is met, and the family that then holds least is taken. The rule is the
share itself, not a fixed margin. A recommendation that changes little is not worth a restart:
`worth_changing` says whether it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from engine.model.errors import Fault, InvalidInputError
from forecasting.profiles.recommenders import (
    LEVELS,
    LikeHours,
    Outcome,
    Violation,
    held,
    outcomes,
)
from forecasting.profiles.windows import Vector, Windows, least_base, windows

_FOLDS = 4
_HIGHEST_PRICE = 3_000.0
_PRICES = np.concatenate(
    [np.geomspace(0.03, _HIGHEST_PRICE, 75), _HIGHEST_PRICE * np.linspace(1.02, 3.0, 100)]
)
"""Of falling short surely, in means of all bases. A price above the highest asks for a margin on
what the highest holds: the largest of like hours may be too little where little is allowed."""
_MARGINS = np.linspace(0.7, 2.5, 73)
_FIRST_HOUR = 1
_PEAK_ALL, _PEAK_RECENT = 0, 1
"""Columns of the features: largest use of all that is known, and of the last three hours."""


class Family(StrEnum):
    """How a recommendation is made."""

    LIKE_HOURS = "like hours"
    LARGEST = "largest use"
    LARGEST_RECENT = "largest recent use"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """A family with its knob, and what the back-test said of it.

    violations: share of windows or samples above what was held; held_over_used: sums of both.
    """

    family: Family
    knob: float
    violations: float
    held_over_used: float


class Rightsizer:
    """Recommends what services hold in the next hour.

    Args:
        used: (n, hours, samples) of past use, NaN for missing samples.
        violation: What falling short means.
        seed: Of trees and folds.

    Raises:
        InvalidInputError: There are fewer than two services or three hours, or a negative use.
    """

    def __init__(self, used: Vector, *, violation: Violation, seed: int) -> None:
        _check(used)
        self._floor = least_base(used)
        self._violation = violation
        self._seed = seed
        self.learn(used)

    def back_tests(self, allowed: float) -> tuple[Chosen, ...]:
        """Return each family with the knob that keeps a share of violations on other services.

        Args:
            allowed: Share of windows or samples that may be above what is held.
        """
        return tuple(
            _knob(
                family,
                self._recommend_by(family, self._rows, self._told),
                (self._rows, self._followed),
                self._violation,
                allowed,
            )
            for family in Family
        )

    def choose(self, allowed: float) -> Chosen:
        """Return the family that holds least among those that keep the allowed share."""
        return min(
            self.back_tests(allowed), key=lambda c: (c.violations > allowed, c.held_over_used)
        )

    def recommend(self, used: Vector, chosen: Chosen, *, first_hour: int) -> tuple[Windows, Vector]:
        """Return windows from an hour on, and what to hold in each by a family and its knob.

        The hours of `used` are those that are known, and one more whose samples are not read.
        """
        rows = windows(used, first_hour=first_hour, floor=self._floor)
        told = None
        if chosen.family is Family.LIKE_HOURS:
            told = self._like.quantiles(rows.features)
        return rows, self._recommend_by(chosen.family, rows, told)(chosen.knob)

    def learn(self, used: Vector) -> None:
        """Learn use that goes on: like hours and back-tests anew, for knobs to be chosen by.

        Knobs that were chosen stay what they are.
        """
        _check(used)
        self._rows, self._followed = self._past(used)
        self._told = self._held_out(self._rows, self._followed, self._seed)
        self._like = self._fit(self._rows, self._followed)

    def _past(self, used: Vector) -> tuple[Windows, Outcome]:
        """Return the windows of past use of which it is known what followed."""
        rows = windows(used, first_hour=_FIRST_HOUR, floor=self._floor)
        followed = outcomes(used, rows)
        seen = np.asarray(np.isfinite(followed.samples).any(axis=1), dtype=np.bool_)
        return _only(rows, seen), Outcome(followed.samples[seen])

    def _fit(self, rows: Windows, followed: Outcome) -> LikeHours:
        """Return like hours of these windows."""
        return LikeHours(rows.features, followed, self._violation, seed=self._seed)

    def _held_out(self, rows: Windows, followed: Outcome, seed: int) -> Vector:
        """Return the quantiles of every window, from services of the other folds."""
        services = int(rows.service.max()) + 1
        fold = np.random.default_rng(seed).permutation(services)[rows.service] % _FOLDS
        told = np.zeros((len(rows.base), len(LEVELS)))
        for left in range(_FOLDS):
            learn = fold != left
            if learn.all() or not learn.any():
                continue
            followed_there = Outcome(followed.samples[learn])
            like = LikeHours(rows.features[learn], followed_there, self._violation, seed=seed)
            told[~learn] = like.quantiles(rows.features[~learn])
        return told

    def _recommend_by(
        self, family: Family, rows: Windows, told: Vector | None
    ) -> Callable[[float], Vector]:
        """Return what a family holds in each window, as a function of its knob."""
        if family is Family.LIKE_HOURS and told is not None:
            scale = float(rows.base.mean())
            return lambda price: (
                held(told, rows.base, min(price, _HIGHEST_PRICE) * scale)
                * max(price / _HIGHEST_PRICE, 1.0)
            )
        column = _PEAK_ALL if family is Family.LARGEST else _PEAK_RECENT
        peak = rows.features[:, column] * rows.base
        return lambda margin: margin * np.maximum(peak, self._floor)


def worth_changing(now: float, wanted: float, *, restart_cost: float, hours: float) -> bool:
    """Return whether a new amount repays a restart within so many hours.

    An amount that is too small for what is wanted is always changed.

    Args:
        now: What is held, in units.
        wanted: What is recommended.
        restart_cost: Of the change, in unit-hours.
        hours: For which the recommendation is likely to stand.
    """
    return wanted > now or (now - wanted) * hours > restart_cost


def score(
    amounts: Vector, rows: Windows, followed: Outcome, violation: Violation
) -> tuple[float, float]:
    """Return the share of violations, and what was held over what was used."""
    scored = followed.scored(violation) * rows.base[:, None]
    counted = np.isfinite(scored)
    above = (scored > amounts[:, None])[counted]
    used = np.nansum(followed.samples * rows.base[:, None])
    there = np.isfinite(followed.samples).sum(axis=1)
    return float(above.mean()), float((amounts * there).sum() / max(used, 1e-12))


def _knob(
    family: Family,
    recommend: Callable[[float], Vector],
    past: tuple[Windows, Outcome],
    violation: Violation,
    allowed: float,
) -> Chosen:
    """Return a family with the smallest knob that keeps the allowed share, or its largest."""
    knobs = _PRICES if family is Family.LIKE_HOURS else _MARGINS
    low, high = 0, len(knobs) - 1
    while low < high:
        middle = (low + high) // 2
        if score(recommend(float(knobs[middle])), *past, violation)[0] <= allowed:
            high = middle
        else:
            low = middle + 1
    violations, ratio = score(recommend(float(knobs[low])), *past, violation)
    return Chosen(
        family=family, knob=float(knobs[low]), violations=violations, held_over_used=ratio
    )


def _only(rows: Windows, chosen: NDArray[np.bool_]) -> Windows:
    """Return some of the windows."""
    return Windows(
        rows.features[chosen], rows.base[chosen], rows.service[chosen], rows.hour[chosen]
    )


def _check(used: Vector) -> None:
    """Refuse use from which nothing can be learned."""
    faults = []
    if used.ndim != 3 or used.shape[0] < 2 or used.shape[1] < 3:  # noqa: PLR2004
        message = f"use has the shape {used.shape!r}; it takes two services and three hours"
        faults.append(Fault(code="H011", message=message, fix="wait for more hours"))
    elif not np.isfinite(used).any():
        faults.append(Fault(code="H012", message="no sample of use is a number"))
    elif np.nanmin(used) < 0:
        message = f"a use is {float(np.nanmin(used))!r}; it must be at least 0"
        faults.append(Fault(code="H012", message=message, fix="correct the counter"))
    if faults:
        raise InvalidInputError("use of services", faults)
