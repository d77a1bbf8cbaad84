"""A task that has run never or seldom, told by what differs among tasks (`profiles.coldstart`).

The quantiles are its own: known tasks, each forecast as if it were new. For the test the tasks are
cut in two, and each half is told by the other.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping

import numpy as np

from engine.model.profiles import QUANTILE_LEVELS, Method
from forecasting.methods.question import OWN_TESTS, Answer, Question
from forecasting.profiles.coldstart import ColdStart, TaskRuns
from forecasting.runs import Vector

_FEWEST_TASKS = 3
_MOST_LOG = 10.0
"""Beyond a factor of 22,000 a preset says nothing of a task."""
_SEED = 0
_MOST_REMEMBERED = 64


def pooled(asked: Question) -> Answer | None:
    """Forecast by the task's few runs, drawn towards those of all tasks.

    None where the task has enough runs of its own, or there are too few other tasks.
    """
    own = asked.own
    groups = np.unique(asked.past.group[~asked.past.own])
    if len(own) >= OWN_TESTS or len(groups) < _FEWEST_TASKS:
        return None
    if float(np.abs(asked.ratios).max()) > _MOST_LOG:
        return None
    needs = {int(group): _needs(asked, int(group)) for group in groups}
    ratio, offsets = _said(_start(tuple(sorted(needs.values()))), asked.ratios[own])
    left_out, told = _tests(asked, needs)
    return Answer(Method.POOLED, ratio, left_out, offsets, told)


def _needs(asked: Question, group: int) -> tuple[float, ...]:
    """Return what the runs of a task needed over their presets, in order of time."""
    rows = np.flatnonzero(asked.past.group == group)
    rows = rows[np.argsort(asked.ended[rows], kind="stable")]
    return tuple(np.exp(asked.ratios[rows]).tolist())


@functools.lru_cache(maxsize=_MOST_REMEMBERED)
def _start(needs: tuple[tuple[float, ...], ...]) -> ColdStart:
    """Return what the runs of some tasks teach; tasks of one plan learn from the same ones."""
    return ColdStart([TaskRuns(preset=1.0, needs=each) for each in needs], seed=_SEED)


def _said(start: ColdStart, ratios: Vector) -> tuple[float, tuple[float, ...]]:
    """Return the median and the offsets from it, as logarithms."""
    values = start.quantiles(1.0, np.exp(ratios).tolist()).values
    logs = [math.log(max(value, 1e-9)) for value in values]
    return logs[0], tuple(log - logs[0] for log in logs)


def _tests(asked: Question, needs: Mapping[int, tuple[float, ...]]) -> tuple[Vector, Vector]:
    """Return what each half of the tasks says of the other: (t,) medians, (t, levels) offsets."""
    left_out = np.full(len(asked.tested), np.nan)
    told = np.zeros((len(asked.tested), len(QUANTILE_LEVELS)))
    ordered = sorted(needs, key=lambda group: (needs[group], group))
    for half in (0, 1):
        others = set(ordered[half::2])
        if len(others) < _FEWEST_TASKS:
            continue
        start = _start(tuple(sorted(needs[group] for group in others)))
        for place, row in enumerate(asked.tested):
            group = int(asked.past.group[row])
            if group in others:
                continue
            mates = asked.speaks[place] & (asked.past.group == group)
            left_out[place], told[place] = _said(start, asked.ratios[mates])
    return left_out, told
