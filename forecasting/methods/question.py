"""What a method is asked about one quantity of one task, and which past runs are a test of it.

Every method forecasts the logarithm of the ratio between what was measured and the preset, so that
runs of other sizes can speak for this one. A test is honest when it is as hard as the question: a
task with two runs of its own is tested on runs of other tasks of which, too, only two are known.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.model.profiles import Method
from forecasting.presets import Quantity, preset
from forecasting.runs import Past, Vector

Index = NDArray[np.int64]
Mask = NDArray[np.bool_]

FLOOR = 1e-3
"""Measured zeros count as this much, for their logarithm."""
OWN_TESTS = 4
"""So many own runs are a test of their own; with fewer, like runs are tested on too."""
_MOST_TESTS = 30
MEMORY = frozenset({Quantity.MEMORY, Quantity.GPU_MEMORY})


@dataclass(frozen=True, slots=True)
class Question:
    """One quantity of the task that `past` was gathered for, with n runs and t tests.

    ratios: (n,) logarithms of measured over preset; base: logarithm of the task's own preset.
    ended: (n,) when each run ended. tested: (t,) rows that are tests; speaks: (t, n) which runs
    may speak for each of them.
    """

    past: Past
    quantity: Quantity
    ratios: Vector
    base: float
    ended: Vector
    tested: Index
    speaks: Mask

    @property
    def own(self) -> Index:
        """Rows of the task's own runs, oldest first."""
        rows = np.flatnonzero(self.past.own)
        return rows[np.argsort(self.ended[rows], kind="stable")].astype(np.int64)


@dataclass(frozen=True, slots=True)
class Answer:
    """A method's log ratio for the task, and for each test as if it were to come.

    left_out: (t,), NaN where the method has no forecast.
    offsets: what the method itself says beyond the median, at each of the stated levels; told:
        (t, levels), the same for each test. None for methods whose quantiles are those of their
        errors.
    spread: standard deviation of the log ratio before there is evidence, where it knows its own.
    """

    method: Method
    ratio: float
    left_out: Vector
    offsets: tuple[float, ...] | None = None
    told: Vector | None = None
    spread: float | None = None


def question(past: Past, quantity: Quantity) -> Question:
    """Return what is asked about a quantity."""
    presets = [preset(record.kind, record.attributes)[quantity] for record in past.records]
    measured = [float(getattr(record, quantity.value)) for record in past.records]
    ended = np.array([record.ended_at for record in past.records], dtype=np.float64)
    tested = _tested(past)
    return Question(
        past=past,
        quantity=quantity,
        ratios=_logs(measured) - _logs(presets),
        base=math.log(max(preset(past.kind, past.attributes)[quantity], FLOOR)),
        ended=ended,
        tested=tested,
        speaks=_speaks(past, ended, tested),
    )


def _logs(values: Sequence[float]) -> Vector:
    """Return natural logarithms, with zeros lifted to the floor."""
    return np.log(np.maximum(np.asarray(values, dtype=np.float64), FLOOR))


def _tested(past: Past) -> Index:
    """Return the runs to test on: own ones when there are enough, else the nearest."""
    own = np.flatnonzero(past.own)
    chosen = own if len(own) >= OWN_TESTS else np.arange(len(past.records))
    return np.asarray(chosen[:_MOST_TESTS], dtype=np.int64)


def _speaks(past: Past, ended: Vector, tested: Index) -> Mask:
    """Return which runs may speak for each test: of its own task no more than the task has."""
    speaks = np.ones((len(tested), len(past.records)), dtype=np.bool_)
    speaks[np.arange(len(tested)), tested] = False
    own = int(past.own.sum())
    if own >= OWN_TESTS:
        return speaks
    for place, row in enumerate(tested):
        siblings = np.flatnonzero(past.group == past.group[row])
        siblings = siblings[siblings != row]
        order = siblings[np.argsort(ended[siblings], kind="stable")]
        speaks[place, order[own:]] = False
    return speaks
