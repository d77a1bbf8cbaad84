"""Which component moved most, and which of its metrics: robust mean shifts, without a topology.

Normal times give a median and a median absolute deviation, which a sixth of abnormal rows hardly
move: an alarm may come a minute late. A near-constant series would make any change infinite, so
the deviation has a floor, a part of the median. Components are compared with a high floor, since
what matters to others is the size of a change; the metrics of one component with a low one, since
there the steadiest that moved tells most.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

BETWEEN_FLOOR = 0.01
WITHIN_FLOOR = 0.001
MAD_TO_DEVIATION = 1.4826
TINY = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """One component.

    Attributes:
        entity: The component.
        score: Its largest shift, in robust standard deviations.
        metrics: Its metrics with their scores, the likeliest first; the first has the score of
            the component.
    """

    entity: str
    score: float
    metrics: tuple[tuple[str, float], ...]


def moved(
    normal: Mapping[tuple[str, str], Numbers], present: Mapping[tuple[str, str], Numbers]
) -> list[Moved]:
    """Return components by how far they moved, furthest first; of equals by name.

    Args:
        normal: Values before, by component and metric, shape (rows). Others may be missing.
        present: Values since.
    """
    between: dict[str, float] = {}
    within: dict[str, dict[str, float]] = {}
    for key in sorted(normal):
        if key not in present:
            continue
        entity, metric = key
        score = shift(normal[key], present[key], floor=BETWEEN_FLOOR)
        between[entity] = max(between.get(entity, 0.0), score)
        within.setdefault(entity, {})[metric] = shift(normal[key], present[key], floor=WITHIN_FLOOR)
    found: list[Moved] = []
    for entity, score in between.items():
        largest = max(*within[entity].values(), TINY)
        metrics = [(name, score * value / largest) for name, value in within[entity].items()]
        metrics.sort(key=lambda item: (-item[1], item[0]))
        found.append(Moved(entity=entity, score=score, metrics=tuple(metrics)))
    return sorted(found, key=lambda one: (-one.score, one.entity))


def shift(normal: Numbers, present: Numbers, *, floor: float) -> float:
    """Return how far the mean moved, in robust standard deviations; 0 where nothing is known.

    Args:
        normal: Values before; not a number where missing.
        present: Values since.
        floor: Least standard deviation, as a part of the median.
    """
    before = normal[np.isfinite(normal)]
    since = present[np.isfinite(present)]
    if not len(before) or not len(since):
        return 0.0
    median = float(np.median(before))
    spread = MAD_TO_DEVIATION * float(np.median(np.abs(before - median)))
    score = abs(float(since.mean()) - median) / max(spread, floor * abs(median), TINY)
    return score if math.isfinite(score) else 0.0
