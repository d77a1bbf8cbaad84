"""Which alarms lead to which: learned from their order in time on the same place.

An alarm that fires again and again within the window counts once, at its first firing; flapping
would else look like evidence. For every ordered pair the number of firings of the one that
another came shortly before is compared with what independence would give, place by place: the
part of time that the windows after the other cover. Of the two directions the one with more
evidence is kept. How many pairs are related need not be known.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

WINDOW_SECONDS = 300.0
DEVIATIONS_LEAST = 5.0
SEEN_LEAST = 2
"""What was seen once is an anecdote, however small its chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Firing:
    """One firing of an alarm at a place (a device, a service)."""

    alarm: str
    place: str
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Precedence:
    """One alarm leads to another.

    Attributes:
        first, then: The alarms.
        seen: Firings of `then` with `first` shortly before.
        expected: As many there would be by chance.
        deviations: By how many standard deviations more were seen.
    """

    first: str
    then: str
    seen: float
    expected: float
    deviations: float


@dataclass(slots=True)
class _Tally:
    seen: float = 0.0
    expected: float = 0.0
    variance: float = 0.0

    @property
    def deviations(self) -> float:
        return (self.seen - self.expected) / math.sqrt(self.variance) if self.variance else 0.0


def precedences(
    firings: Iterable[Firing],
    *,
    window_seconds: float = WINDOW_SECONDS,
    deviations_least: float = DEVIATIONS_LEAST,
) -> list[Precedence]:
    """Return which alarms lead to which, the surest first.

    Args:
        firings: In any order.
        window_seconds: How long after one alarm another may be its consequence.
        deviations_least: Evidence from which a relation is believed.
    """
    tallies: dict[tuple[str, str], _Tally] = {}
    for times in _by_place(firings, window_seconds):
        start = min(float(each[0]) for each in times.values())
        end = max(float(each[-1]) for each in times.values())
        span = end - start + window_seconds
        for first, causes in times.items():
            covered = float(np.minimum(np.diff(causes), window_seconds).sum()) + window_seconds
            chance = covered / span
            for then, effects in times.items():
                if first != then:
                    tally = tallies.setdefault((first, then), _Tally())
                    tally.seen += _preceded(causes, effects, window_seconds)
                    tally.expected += chance * len(effects)
                    tally.variance += chance * (1.0 - chance) * len(effects)
    found = [
        Precedence(
            first=first,
            then=then,
            seen=tally.seen,
            expected=tally.expected,
            deviations=tally.deviations,
        )
        for (first, then), tally in tallies.items()
        if tally.seen >= SEEN_LEAST
        and tally.deviations > deviations_least
        and tally.deviations > tallies[then, first].deviations
    ]
    return sorted(found, key=lambda one: (-round(one.deviations, 9), one.first, one.then))


def _by_place(firings: Iterable[Firing], window_seconds: float) -> list[dict[str, Numbers]]:
    """Return the first firings of every burst of each alarm, place by place, in order of names."""
    gathered: dict[str, dict[str, list[float]]] = {}
    for firing in firings:
        gathered.setdefault(firing.place, {}).setdefault(firing.alarm, []).append(firing.at)
    return [
        {
            alarm: _first_of_bursts(np.array(sorted(times)), window_seconds)
            for alarm, times in sorted(gathered[place].items())
        }
        for place in sorted(gathered)
    ]


def _first_of_bursts(times: Numbers, window_seconds: float) -> Numbers:
    starts = np.concatenate([[True], np.diff(times) > window_seconds])
    first: Numbers = times[starts]
    return first


def _preceded(causes: Numbers, effects: Numbers, window_seconds: float) -> int:
    """Return how many effects have a cause within the window before them."""
    before = np.searchsorted(causes, effects, side="left")
    known = before > 0
    latest = causes[np.maximum(before - 1, 0)]
    return int(np.count_nonzero(known & (effects - latest <= window_seconds)))
