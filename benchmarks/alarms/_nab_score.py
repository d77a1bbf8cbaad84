"""The score of the Numenta Anomaly Benchmark, from its definition.

A series has labelled windows. Rows of the first 15 % (at most 750 rows) are not scored. The first
detection of a window counts, worth most at its left edge and nothing at its right edge; a window
without one costs the weight of a miss; every detection outside costs the weight of a false alarm,
less when it follows a window closely. A profile sets the weights. The threshold is one for the
whole corpus and profile: the one with the largest sum. Sums are normalised so that no detection
at all is 0 and all windows at their left edge is 100 (Lavin and Ahmad 2015, arXiv 1510.03336).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

PROBATION_SHARE = 0.15
PROBATION_ROWS = 5_000
"""Longer series have the probation of a series of so many rows."""
STEEPNESS = 5.0
FAR = 3.0
"""From so many widths past a window on a false alarm costs its whole weight."""

Floats = NDArray[np.float64]


class Profile(Enum):
    """Weights of a miss and of a false alarm; a hit weighs 1 in all of them."""

    STANDARD = (1.0, 0.11)
    LOW_FALSE_POSITIVES = (1.0, 0.22)
    LOW_FALSE_NEGATIVES = (2.0, 0.11)

    @property
    def miss(self) -> float:
        """Cost of a window without a detection."""
        return self.value[0]

    @property
    def false_alarm(self) -> float:
        """Cost of one detection far from any window."""
        return self.value[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """One series: its number of rows, and its windows as first and last row, in order."""

    name: str
    rows: int
    windows: tuple[tuple[int, int], ...]

    @property
    def probation(self) -> float:
        """Rows before this one are not scored."""
        rows = min(math.floor(PROBATION_SHARE * self.rows), PROBATION_SHARE * PROBATION_ROWS)
        return float(rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Normalised score of a corpus, with the threshold it was reached with.

    by_series: what each series adds, not normalised: hits minus misses and false alarms.
    """

    value: float
    threshold: float
    by_series: tuple[float, ...]


def worth(position: float) -> float:
    """Return the worth of a detection, from -1 at a window's left edge over 0 at its right."""
    return -1.0 if position > FAR else 2.0 / (1.0 + math.exp(STEEPNESS * position)) - 1.0


def row_worths(series: Labelled) -> tuple[Floats, NDArray[np.intp]]:
    """Return for each row what a detection is worth there, unweighted, and its window or -1."""
    worths = np.full(series.rows, -1.0)
    owners = np.full(series.rows, -1, dtype=np.intp)
    for number, (first, last) in enumerate(series.windows):
        width = last - first + 1
        for row in range(first, last + 1):
            worths[row] = worth(-(last - row + 1) / width) / worth(-1.0)
            owners[row] = number
        following = series.windows[number + 1][0] if number + 1 < len(series.windows) else None
        for row in range(last + 1, series.rows if following is None else following):
            worths[row] = worth((row - last) / (width - 1))
    return worths, owners


def corpus_score(corpus: Sequence[Labelled], scores: Sequence[Floats], profile: Profile) -> Score:
    """Return the score at the best threshold of all; a row is detected from the threshold on.

    scores: for each series the anomaly score of each row, between 0 and 1.
    """
    rows: list[tuple[float, int, int, float]] = []
    counted: set[tuple[int, int]] = set()
    for place, (series, values) in enumerate(zip(corpus, scores, strict=True)):
        worths, owners = row_worths(series)
        for row in range(math.ceil(series.probation), series.rows):
            owner = int(owners[row])
            if owner >= 0:
                counted.add((place, owner))
            weight = 1.0 if owner >= 0 else profile.false_alarm
            rows.append((float(values[row]), place, owner, weight * float(worths[row])))
    rows.sort(key=lambda entry: -entry[0])
    windows = dict.fromkeys(counted, -profile.miss)
    threshold, best = _best_threshold(rows, windows)
    total = sum(len(series.windows) for series in corpus)
    nothing = -profile.miss * len(counted)
    by_series = _sums_at(rows, windows, threshold, len(corpus))
    value = 100.0 * (best - nothing) / (total - nothing)
    return Score(value=value, threshold=threshold, by_series=by_series)


def _best_threshold(
    rows: Sequence[tuple[float, int, int, float]], windows: dict[tuple[int, int], float]
) -> tuple[float, float]:
    """Return the threshold with the largest sum, and that sum. `rows` fall by score."""
    parts = dict(windows)
    current = sum(parts.values())
    threshold, best = 1.1, current
    for number, (score, place, owner, gain) in enumerate(rows):
        if owner < 0:
            current += gain
        elif gain > parts[place, owner]:
            current += gain - parts[place, owner]
            parts[place, owner] = gain
        last_of_score = number + 1 == len(rows) or rows[number + 1][0] != score
        if last_of_score and current > best:
            threshold, best = score, current
    return threshold, best


def _sums_at(
    rows: Sequence[tuple[float, int, int, float]],
    windows: dict[tuple[int, int], float],
    threshold: float,
    count: int,
) -> tuple[float, ...]:
    """Return what each series adds at a threshold."""
    parts = dict(windows)
    sums = [0.0] * count
    for score, place, owner, gain in rows:
        if score < threshold:
            break
        if owner < 0:
            sums[place] += gain
        else:
            parts[place, owner] = max(parts[place, owner], gain)
    for (place, _), part in parts.items():
        sums[place] += part
    return tuple(sums)
