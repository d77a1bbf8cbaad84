"""How long spot stays up or down: hazards by age, learnt from a trace of availability.

Times between changes of availability are far from exponential: what has lasted long lasts longer.
So the hazard (changes per hour) is estimated for each band of age by itself, as a Bayesian mean:
events seen over time seen, both forgotten by half each `HALF_LIFE_HOURS`, joined by `PRIOR_EVENTS`
events at the prior's hazard. The prior is a Lomax distribution of shape 1 with median
`PRIOR_MEDIAN_HOURS`, whose hazard at age a is 1 / (a + median): half of all spells are short, and
a spell of any greater age lasts as long again with probability near one half.
`placement.spot.values` plans by the Markov chain that `Lifetimes.transitions` returns.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engine.model.errors import Fault, InvalidInputError
from placement.spot.task import SECONDS_PER_HOUR

Values = npt.NDArray[np.float64]

AGE_HOURS = (0.0, 0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
"""Lower edges of the bands of age; the last has no upper edge."""

BANDS = len(AGE_HOURS)
PRIOR_MEDIAN_HOURS = 0.25
PRIOR_EVENTS = 4.0
HALF_LIFE_HOURS = 7 * 24.0
_SQUARINGS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetimes:
    """Changes per hour by band of age, while spot is down and while it is up."""

    down_per_hour: tuple[float, ...]
    up_per_hour: tuple[float, ...]

    def transitions(self, seconds: float) -> Values:
        """Return the chances to get from each state to each other in so many seconds.

        Returns:
            An array of 2 x `BANDS` rows and columns, those of down before those of up (see
            `state`); each row sums to 1. Ages pass from band to band at the rate of their width.
        """
        rates = np.zeros((2 * BANDS, 2 * BANDS))
        widths = np.diff(AGE_HOURS)
        for band in range(BANDS):
            rates[band, BANDS] = self.down_per_hour[band]
            rates[BANDS + band, 0] = self.up_per_hour[band]
            if band < BANDS - 1:
                rates[band, band + 1] = 1.0 / widths[band]
                rates[BANDS + band, BANDS + band + 1] = 1.0 / widths[band]
        hours = seconds / SECONDS_PER_HOUR
        # The chain runs in continuous time: halve the step until no two events fall into one.
        fastest = float(rates.sum(axis=1).max()) * hours
        halvings = max(_SQUARINGS, math.ceil(math.log2(max(fastest, 1.0))) + _SQUARINGS)
        leaves = rates.sum(axis=1)
        step = rates * (hours / 2**halvings) + np.diag(1.0 - leaves * (hours / 2**halvings))
        return np.asarray(np.linalg.matrix_power(step, 2**halvings), dtype=np.float64)


def state(*, is_up: bool, age_seconds: float) -> int:
    """Return the row of `Lifetimes.transitions` for an availability of an age."""
    band = int(np.searchsorted(AGE_HOURS, age_seconds / SECONDS_PER_HOUR, side="right")) - 1
    return (BANDS if is_up else 0) + min(max(band, 0), BANDS - 1)


def learn(is_up: Sequence[bool], step_seconds: float) -> Lifetimes:
    """Return the hazards that a trace of availability shows, joined with the prior.

    Args:
        is_up: Whether spot was to be had in each step up to now; the last is the newest. May be
            empty, and then the prior alone speaks.
        step_seconds: Length of a step.

    Raises:
        InvalidInputError: A step is not longer than nothing.
    """
    if not (math.isfinite(step_seconds) and step_seconds > 0):
        message = f"the step of the trace is {step_seconds!r} s"
        fault = Fault(code="S001", message=message, path="step_seconds", fix="give more than 0")
        raise InvalidInputError("spot availability", [fault])
    up = np.asarray(is_up, dtype=bool)
    band = _bands(up, step_seconds)
    newest_first = np.arange(len(up) - 1, -1, -1)
    weight = 0.5 ** (newest_first * step_seconds / SECONDS_PER_HOUR / HALF_LIFE_HOURS)
    changes = np.zeros(len(up), dtype=bool)
    changes[:-1] = up[1:] != up[:-1]
    found: list[tuple[float, ...]] = []
    for kind in (False, True):
        here = up == kind
        hours = np.bincount(band[here], weight[here], BANDS) * step_seconds / SECONDS_PER_HOUR
        events = np.bincount(band[here & changes], weight[here & changes], BANDS)
        hazards = (events + PRIOR_EVENTS) / (hours + PRIOR_EVENTS / _prior())
        found.append(tuple(float(hazard) for hazard in hazards))
    return Lifetimes(down_per_hour=found[0], up_per_hour=found[1])


def ages(is_up: Sequence[bool], step_seconds: float) -> Values:
    """Return for each step for how long availability had been as it was, at the step's start."""
    up = np.asarray(is_up, dtype=bool)
    began = np.zeros(len(up), dtype=np.int64)
    began[1:] = np.where(up[1:] != up[:-1], np.arange(1, len(up)), 0)
    return np.asarray(
        (np.arange(len(up)) - np.maximum.accumulate(began)) * step_seconds, dtype=np.float64
    )


def _bands(up: npt.NDArray[np.bool_], step_seconds: float) -> npt.NDArray[np.int64]:
    # A step counts where its middle lies.
    middles = (ages(up.tolist(), step_seconds) + step_seconds / 2) / SECONDS_PER_HOUR
    found = np.searchsorted(AGE_HOURS, middles, side="right") - 1
    return np.asarray(np.clip(found, 0, BANDS - 1), dtype=np.int64)


def _prior() -> Values:
    """Return the prior's hazard by band: the mean of 1 / (age + median) over the band."""
    edges = np.array((*AGE_HOURS, 2 * AGE_HOURS[-1]))
    logs = np.log(edges + PRIOR_MEDIAN_HOURS)
    return np.asarray(np.diff(logs) / np.diff(edges), dtype=np.float64)
