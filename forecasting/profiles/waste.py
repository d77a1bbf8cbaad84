"""What a first try of memory costs in expectation, and the try that costs least.

A try that holds enough wastes what is above the need, for the time that the run takes. One that
holds too little is lost as a whole, and the run starts again with more (Tovar et al., TPDS 2018).
The costs here are exact over the errors of runs that were forecast before they ran: with forecast
p and error e of a run (need = p + e s, s the scale of its errors), every error seen is tried as
the offset, and the cheapest is taken.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

_BEYOND = np.array([0.2, 0.7, 1.8])
"""Thirds of an exponential distribution, in units of its mean."""


@dataclass(frozen=True, slots=True)
class Errors:
    """Runs that were forecast before they ran.

    points: forecast of each; scales: scale of its error; needs: what it needed (all in one unit
    of memory); hours: how long it ran.
    """

    points: Vector
    scales: Vector
    needs: Vector
    hours: Vector


@dataclass(frozen=True, slots=True)
class Offset:
    """How many scales above the forecast to hold, and what that would have cost.

    cost: memory times hours; failing: share of the runs that would have failed.
    """

    scales: float
    cost: float
    failing: float


def with_tail(errors: Errors) -> Errors:
    """Return the runs with one more that needs more than any seen, in equal parts of three sizes.

    Among n + 1 exchangeable runs the next is the largest with probability 1 / (n + 1); how far it
    lies out is taken from the mean excess of the largest fifth (an exponential tail).
    """
    scores = (errors.needs - errors.points) / errors.scales
    count = max(3, len(scores) // 5)
    largest = np.sort(scores)[-count:]
    excess = float(largest.mean() - largest[0])
    share = errors.hours / errors.hours.sum()
    point, scale = float(share @ errors.points), float(share @ errors.scales)
    beyond = largest[-1] + excess * _BEYOND
    weight = float(errors.hours.mean()) / len(_BEYOND)
    return Errors(
        points=np.append(errors.points, np.full(len(_BEYOND), point)),
        scales=np.append(errors.scales, np.full(len(_BEYOND), scale)),
        needs=np.append(errors.needs, point + beyond * scale),
        hours=np.append(errors.hours, np.full(len(_BEYOND), weight)),
    )


def best_offset(errors: Errors, *, retry: float, most_failing: float) -> Offset:
    """Return the offset of least cost among those with few enough failures.

    Args:
        errors: At least one run.
        retry: What a run holds after it failed, at least its need.
        most_failing: Largest share of runs that may fail.
    """
    scores = (errors.needs - errors.points) / errors.scales
    order = np.argsort(scores, kind="stable")
    scores = scores[order]
    points, scales = errors.points[order], errors.scales[order]
    needs, hours = errors.needs[order], errors.hours[order]
    held_hours, scale_hours, need_hours = points * hours, scales * hours, needs * hours
    after = np.maximum(retry, needs)
    second = (after - needs) * hours
    # With offset scores[i], runs 0..i succeed and the later ones fail.
    succeeded_need = np.cumsum(need_hours)
    failed_second = second.sum() - np.cumsum(second)
    held = held_hours.sum() + scores * scale_hours.sum()
    costs = held - succeeded_need + failed_second
    # Equal scores succeed together, so that the last of them tells.
    last = np.searchsorted(scores, scores, side="right") - 1
    failing = 1.0 - (last + 1) / len(scores)
    allowed = np.where(failing <= most_failing, costs[last], np.inf)
    best = int(np.argmin(allowed))
    return Offset(float(scores[best]), float(allowed[best]), float(failing[best]))


def cost_of(held: float, need: float, hours: float, *, retry: float) -> float:
    """Return what a first try cost in memory times hours, with the retry when it failed."""
    if held >= need:
        return (held - need) * hours
    return (held + max(retry, need) - need) * hours
