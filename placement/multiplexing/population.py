"""A population of tasks, known by days of need of some of its members.

What a group of its members needs together on another day is drawn by bootstrap: a day, from it as
many whole member-days as there are tasks, a shift in time, and a level for the day. Whole days
keep each member's own course and the correlation by time of day; members of one day keep what they
had in common. The shift is common to all and at most `SHIFT_SHARE` of a day either way: what
happened at five past five on one day may happen at half past on another. The level of a day is a
factor common to all: days that were not seen differ from those that were by a Student predictive
distribution on the logarithm, from the spread of the days seen joined with a prior (`PRIOR_DAYS`
days with a deviation of `PRIOR_DEVIATION`), since a few days say little about it.
`placement.multiplexing.sizing` sets capacity by these scenarios.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engine.model.errors import Fault, InvalidInputError
from placement.problem.needs import HARD_LEVEL

PRIOR_DAYS = 8
PRIOR_DEVIATION = 0.1
"""Standard deviation of the logarithm of a day's level, before any day is seen."""

SHIFT_SHARE = 1 / 24

_CODE = "S001"
Values = npt.NDArray[np.float64]
Needs = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Population:
    """What members need in the course of a day.

    Attributes:
        days: For each day seen an array [members, steps], brought to the level common to all.
        mean: Mean need of a member, by step.
        high: Need of a member that is exceeded with the probability of overflow, by step.
        level_deviation: Scale of the logarithm of a new day's level.
        level_freedom: Degrees of freedom of its Student distribution.
    """

    days: tuple[Needs, ...]
    mean: Values
    high: Values
    level_deviation: float
    level_freedom: int

    def scenarios(self, tasks: int, count: int, chance: np.random.Generator) -> Needs:
        """Return what so many tasks need together: [count, steps]."""
        needed = np.empty((count, len(self.mean)), dtype=np.float32)
        which = chance.integers(len(self.days), size=count)
        for index, day in enumerate(self.days):
            rows = np.flatnonzero(which == index)
            members = chance.integers(len(day), size=(tasks, len(rows)))
            total = np.zeros((len(rows), len(self.mean)), dtype=np.float32)
            for drawn in members:
                total += day[drawn]
            needed[rows] = total
        needed = _shifted(needed, chance)
        levels = np.exp(self.level_deviation * chance.standard_t(self.level_freedom, size=count))
        return np.asarray(needed * levels.astype(np.float32)[:, None], dtype=np.float32)


def _shifted(needed: Needs, chance: np.random.Generator) -> Needs:
    count, steps = needed.shape
    most = round(steps * SHIFT_SHARE)
    shifts = chance.integers(-most, most, size=count, endpoint=True)
    return np.take_along_axis(needed, (np.arange(steps) - shifts[:, None]) % steps, axis=1)


def fit(days: Sequence[npt.ArrayLike]) -> Population:
    """Return the population of which these are member-days.

    Args:
        days: For each day an array [members, steps] of need in any unit; days may differ in
            members, not in steps.

    Raises:
        InvalidInputError: No day, an array of another shape, or a need that is no number, is
            negative or zero throughout a day; all faults are named.
    """
    arrays = [np.asarray(day, dtype=np.float32) for day in days]
    _check(arrays)
    logs = np.log([float(day.mean()) for day in arrays])
    freedom = PRIOR_DAYS + len(arrays) - 1
    spread = PRIOR_DAYS * PRIOR_DEVIATION**2 + float(((logs - logs.mean()) ** 2).sum())
    common = float(np.exp(logs.mean()))
    level = tuple(
        np.asarray(day * np.float32(common / float(day.mean())), dtype=np.float32) for day in arrays
    )
    pooled = np.concatenate(level)
    return Population(
        days=level,
        mean=np.asarray(pooled.mean(axis=0), dtype=np.float64),
        high=np.asarray(np.quantile(pooled, HARD_LEVEL, axis=0), dtype=np.float64),
        level_deviation=math.sqrt(spread / freedom * (1.0 + 1.0 / len(arrays))),
        level_freedom=freedom,
    )


def _check(days: Sequence[Needs]) -> None:
    faults: list[Fault] = []
    fix = "give an array of member-days by steps for each day"
    if not days:
        faults.append(Fault(code=_CODE, message="there is no day to learn from", fix=fix))
    for index, day in enumerate(days):
        path = f"days[{index}]"
        if day.ndim != 2 or day.size == 0 or day.shape[1:] != days[0].shape[1:]:  # noqa: PLR2004 - members by steps
            message = f"{path} has the shape {day.shape!r}, the first {days[0].shape!r}"
            faults.append(Fault(code=_CODE, message=message, path=path, fix=fix))
        elif not np.isfinite(day).all() or float(day.min()) < 0:
            message = f"{path} holds a need that is no number or is negative"
            faults.append(Fault(code=_CODE, message=message, path=path, fix="drop such rows"))
        elif float(day.max()) <= 0:
            message = f"{path} needs nothing at all"
            faults.append(Fault(code=_CODE, message=message, path=path, fix="leave the day out"))
    if faults:
        raise InvalidInputError("population of tasks", faults)
