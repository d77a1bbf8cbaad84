"""Memory of a task with runs of its own, by what wastes least (`profiles.sizing`).

The sizer sees the runs in the order in which they ended, and is asked before each. What it would
hold stands at the level that plans hold (P99); below it stand the quantiles of the runs.
"""

from __future__ import annotations

import math

import numpy as np

from engine.model.profiles import QUANTILE_LEVELS, Method
from forecasting.methods.question import FLOOR, OWN_TESTS, Answer, Question
from forecasting.presets import Quantity, size_of
from forecasting.profiles.ranges import MOST_MEMORY_GIB, MOST_SECONDS
from forecasting.profiles.sizing import MemorySizer

HELD = 0.99
"""Level at which plans hold memory: what needs more is killed."""
_MOST_RUNS = 40
_MOST_TRIES = 4
_HOUR = 3_600.0


def sized(asked: Question) -> Answer | None:
    """Forecast memory by the sizer; None for other quantities and for few own runs."""
    if asked.quantity is not Quantity.MEMORY or len(asked.own) <= OWN_TESTS:
        return None
    sizer = MemorySizer(most_failing=1.0 - HELD)
    rows = asked.own[-_MOST_RUNS:]
    place_of = {int(row): place for place, row in enumerate(asked.tested)}
    left_out = np.full(len(asked.tested), np.nan)
    told = np.zeros((len(asked.tested), len(QUANTILE_LEVELS)))
    needs: list[float] = []
    for count, row in enumerate(rows):
        record = asked.past.records[row]
        size = size_of(record.attributes).gib
        need = min(max(record.memory_gib_peak, FLOOR), MOST_MEMORY_GIB)
        place = place_of.get(int(row))
        if place is not None and count >= OWN_TESTS:
            preset = math.log(need) - float(asked.ratios[row])
            ratio, told[place] = _stated(sizer.first_try(size), needs)
            left_out[place] = ratio - preset
        hours = min(record.duration_seconds, MOST_SECONDS) / _HOUR
        sizer.update(size, need, hours)
        needs.append(need)
    held = sizer.first_try(size_of(asked.past.attributes).gib)
    ratio, offsets = _stated(held, needs)
    return Answer(Method.SIZER, ratio - asked.base, left_out, offsets, told)


def retries(asked: Question, held_gib: float) -> tuple[float, ...]:
    """Return what to hold after so much was too little, and then again, rising.

    Own runs speak where there are any, else like runs; where there are none, nothing is said.
    """
    rows = asked.own if len(asked.own) else np.arange(len(asked.ratios))
    if not len(rows):
        return ()
    sizer = MemorySizer()
    for row in rows[-_MOST_RUNS:]:
        record = asked.past.records[row]
        need = min(record.memory_gib_peak, MOST_MEMORY_GIB)
        hours = min(record.duration_seconds, MOST_SECONDS) / _HOUR
        sizer.update(size_of(record.attributes).gib, need, hours)
    found: list[float] = []
    held = held_gib
    for _ in range(_MOST_TRIES):
        held = sizer.next_try(max(held, FLOOR))
        found.append(held)
    return tuple(found)


def _stated(held: float, needs: list[float]) -> tuple[float, tuple[float, ...]]:
    """Return the logarithm of the median, and offsets up to what is held, at the levels."""
    median = min(float(np.median(needs)), held)
    lower = [min(float(np.quantile(needs, level)), held) for level in QUANTILE_LEVELS]
    values = [max(value, median) for value in lower[:-1]] + [held]
    logs = [math.log(max(value, FLOOR)) for value in values]
    return logs[0], tuple(log - logs[0] for log in logs)
